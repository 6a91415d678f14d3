# FCOS3D/PGD with T2T-ViT-14 on KITTI.
#
#   python tools/train.py configs/fcos3d_t2t_vit_kitti.py --data-root DIR
#   python tools/test.py configs/fcos3d_t2t_vit_kitti.py CHECKPOINT \
#       --data-root DIR
#
# Published for another backbone, ResNet-101 with 54.8 M parameters in all,
# as PGD: AP3D R40 of Car on val, IoU 0.7, easy/moderate/hard
# 19.27/13.23/10.65 (BEV 26.60/18.23/15.00). There is no published figure for
# this one, and nothing is reproduced here.
# In prediction, at 384 x 1248: 21.73 M parameters, 60.9 GMACs. Batch 12.
# The backbone starts from ImageNet weights: add --cfg-options
# model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE.
_base_ = [
    './_base_/models/fcos3d.py',
    './_base_/datasets/kitti_mono3d_flip.py',
    './_base_/schedules/fcos3d_48e.py',
    './_base_/mono3d_runtime.py',
]
model = dict(
    backbone=dict(type='lvt_dense.T2TViT', arch='14'),
    neck=dict(in_channels=[64, 64, 384, 384]),
)
