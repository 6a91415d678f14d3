# RTMDet's neck and head on NASViT-T2, COCO at 640 x 640.
#
#   tools/dist_train.sh configs/rtmdet_nasvit_coco.py 8 --amp
#   python tools/test.py configs/rtmdet_nasvit_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 3,215,002
# parameters, 5.93 GMACs at 640 x 640. Batch size 128 (8 x 16). Starts from
# NASViT's ImageNet weights.
_base_ = [
    './_base_/models/rtmdet.py',
    './_base_/datasets/coco_rtmdet_640.py',
    './_base_/schedules/rtmdet_300e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.NASViT',
        arch='t2',
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[40, 64, 176]),
)
