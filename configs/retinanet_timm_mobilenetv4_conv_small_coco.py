# RetinaNet with MobileNetV4-Conv-S of timm on COCO, 1x (arXiv 2404.10518).
#
#   tools/dist_train.sh configs/retinanet_timm_mobilenetv4_conv_small_coco.py 8
#   python tools/test.py configs/retinanet_timm_mobilenetv4_conv_small_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 12,584,788
# parameters, 162.94 GMACs at 800 x 1344. Batch size 16 (8 x 2). Starts from
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
        arch='mobilenetv4_conv_small.e2400_r224_in1k',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[32, 64, 96, 960]),
)
train_dataloader = dict(batch_size=2)
