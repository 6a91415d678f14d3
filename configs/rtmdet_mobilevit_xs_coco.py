# RTMDet's neck and head on MobileViT-XS, COCO at 640 x 640.
#
#   tools/dist_train.sh configs/rtmdet_mobilevit_xs_coco.py 8 --amp
#   python tools/test.py configs/rtmdet_mobilevit_xs_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 2,713,740
# parameters, 13.97 GMACs at 640 x 640. Batch size 128 (8 x 16). Starts from
# MobileViT's ImageNet weights.
_base_ = [
    './_base_/models/rtmdet.py',
    './_base_/datasets/coco_rtmdet_640.py',
    './_base_/schedules/rtmdet_300e.py',
    './_base_/default_runtime.py',
]
model = dict(
    # OpenCV's BGR images in [0, 1], which the published weights expect.
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=False
    ),
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='xs',
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[64, 80, 96]),
)
