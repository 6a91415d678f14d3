# RetinaNet with FastViT-T8 of timm on COCO, 1x (arXiv 2303.14189).
#
#   tools/dist_train.sh configs/retinanet_timm_fastvit_t8_coco.py 8
#   python tools/test.py configs/retinanet_timm_fastvit_t8_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 13,053,268
# parameters, 170.03 GMACs at 800 x 1344. Batch size 16 (8 x 2). Starts from
# timm's ImageNet weights. Needs the extra timm.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.Timm',
        arch='fastvit_t8.apple_in1k',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 96, 192, 384]),
)
train_dataloader = dict(batch_size=2)
