# RetinaNet with EMOv2-1M on COCO, 1x (EMOv2, arXiv 2412.06674).
#
#   tools/dist_train.sh configs/retinanet_emov2_1m_coco.py 4
#   python tools/test.py configs/retinanet_emov2_1m_coco.py CHECKPOINT
#
# Expected mAP on val2017: 36.9 (official log, last epoch); not reproduced
# here. 10,597,616 parameters, 165.60 GMACs at 800 x 1344. Batch size 16 (4 x
# 4). Starts from EMOv2's ImageNet weights; stem, first stage and all batch
# norm statistics are frozen.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_emov2_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='1m',
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[32, 48, 80, 180]),
)
