# RetinaNet with RepViT-M0.9 of timm on COCO, 1x (arXiv 2307.09283).
#
#   tools/dist_train.sh configs/retinanet_timm_repvit_m0_9_coco.py 8
#   python tools/test.py configs/retinanet_timm_repvit_m0_9_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 14,599,124
# parameters, 176.22 GMACs at 800 x 1344. Batch size 16 (8 x 2). Starts from
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
        arch='repvit_m0_9.dist_450e_in1k',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 96, 192, 384]),
)
train_dataloader = dict(batch_size=2)
