# RTMDet's neck and head on EMO-1M, COCO at 640 x 640.
#
#   tools/dist_train.sh configs/rtmdet_emo_1m_coco.py 8 --amp
#   python tools/test.py configs/rtmdet_emo_1m_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 2,113,752
# parameters, 5.71 GMACs at 640 x 640. Batch size 128 (8 x 16). Starts from
# EMO's ImageNet weights.
_base_ = [
    './_base_/models/rtmdet.py',
    './_base_/datasets/coco_rtmdet_640.py',
    './_base_/schedules/rtmdet_300e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMO',
        arch='1m',
        out_indices=(1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 80, 168]),
)
