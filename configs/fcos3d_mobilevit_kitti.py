# A light variant of FCOS3D and PGD with MobileViT-S on KITTI: 64 channels in
# place of 256, and more, see _base_/models/fcos3d.py.
#
#   python tools/train.py configs/fcos3d_mobilevit_kitti.py --data-root DIR
#   python tools/test.py configs/fcos3d_mobilevit_kitti.py CHECKPOINT \
#       --data-root DIR
#
# PGD itself with ResNet-101, 54.8 M parameters in all, has AP3D R40 of Car on
# val, IoU 0.7, easy/moderate/hard 19.27/13.23/10.65 (BEV 26.60/18.23/15.00).
# We have not measured this variant. In prediction, at 384 x 1248: 5.46 M
# parameters, 42.2 GMACs. Batch size 12. Starts from the backbone's ImageNet
# weights.
_base_ = [
    './_base_/models/fcos3d.py',
    './_base_/datasets/kitti_mono3d_flip.py',
    './_base_/schedules/fcos3d_48e.py',
    './_base_/mono3d_runtime.py',
]
model = dict(
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
