# RTMDet's neck and head on EMOv2-1M, COCO at 640 x 640.
#
#   tools/dist_train.sh configs/rtmdet_emov2_1m_coco.py 8 --amp
#   python tools/test.py configs/rtmdet_emov2_1m_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 2,229,502
# parameters, 6.33 GMACs at 640 x 640. Batch size 128 (8 x 16). Starts from
# EMOv2's ImageNet weights.
_base_ = [
    './_base_/models/rtmdet.py',
    './_base_/datasets/coco_rtmdet_640.py',
    './_base_/schedules/rtmdet_300e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='1m',
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 80, 180]),
)
