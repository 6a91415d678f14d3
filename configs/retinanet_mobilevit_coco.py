# RetinaNet with MobileViT-S on COCO, 1x.
#
#   tools/dist_train.sh configs/retinanet_mobilevit_coco.py 8
#   python tools/test.py configs/retinanet_mobilevit_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 14,125,460
# parameters, 236.16 GMACs at 800 x 1344. Batch size 16 (8 x 2). Starts from
# MobileViT's ImageNet weights.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    # OpenCV's BGR images in [0, 1], which the published weights expect.
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=False
    ),
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='s',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[64, 96, 128, 160]),
)
train_dataloader = dict(batch_size=2)
