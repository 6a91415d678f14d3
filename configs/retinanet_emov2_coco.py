# RetinaNet with EMOv2-5M on COCO, 1x (EMOv2, arXiv 2412.06674).
#
#   tools/dist_train.sh configs/retinanet_emov2_coco.py 4
#   python tools/test.py configs/retinanet_emov2_coco.py CHECKPOINT
#
# Expected mAP on val2017: 41.5 (official log, last epoch); not reproduced
# here. 14,458,100 parameters, 184.42 GMACs at 800 x 1344. Batch size 16 (4 x
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
        arch='5m',
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 72, 160, 288]),
)
