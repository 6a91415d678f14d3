# MonoCon with EMOv2-5M on KITTI.
#
#   python tools/train.py configs/monocon_emov2_kitti.py --data-root DIR
#   python tools/test.py configs/monocon_emov2_kitti.py CHECKPOINT \
#       --data-root DIR
#
# Published for another backbone, DLA-34 with 19.7 M parameters in all: AP3D
# R40 of Car on val, IoU 0.7, easy/moderate/hard 26.33/19.01/15.98 (BEV
# 34.65/25.39/21.93); the five runs that its code lists average
# 25.74/18.92/16.00. There is no published result for this backbone, and
# nothing is reproduced here. In prediction, at 384 x 1248: 6.54 M parameters,
# 24.1 GMACs. Batch size 8. Starts from the backbone's ImageNet weights.
_base_ = [
    './_base_/models/monocon.py',
    './_base_/datasets/kitti_mono3d.py',
    './_base_/schedules/monocon_200e.py',
    './_base_/mono3d_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='5m',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 72, 160, 288]),
    bbox_head=dict(in_channels=48),
)
