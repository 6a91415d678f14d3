# Mask R-CNN with MobileViT-S on COCO, 1x.
#
#   tools/dist_train.sh configs/mask_rcnn_mobilevit_coco.py 8
#   python tools/test.py configs/mask_rcnn_mobilevit_coco.py CHECKPOINT
#
# There is no published box or mask mAP, and we have not measured one.
# 24,853,904 parameters. Batch size 16 (8 x 2). Starts from MobileViT's
# ImageNet weights.
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
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
