# RetinaNet with EMO-2M on COCO, 1x (EMO, arXiv 2301.01146).
#
#   tools/dist_train.sh configs/retinanet_emo_2m_coco.py 8
#   python tools/test.py configs/retinanet_emo_2m_coco.py CHECKPOINT
#
# Expected mAP on val2017: 36.2 (official log, last epoch); not reproduced
# here. 11,555,644 parameters, 167.72 GMACs at 800 x 1344. Batch size 32 (8 x
# 4). Starts from EMO's ImageNet weights; stem, first stage and all batch norm
# statistics are frozen.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_emo_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMO',
        arch='2m',
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[32, 48, 120, 200]),
)
