# RetinaNet with EMO-2M on COCO, 1x (EMO, arXiv 2301.01146).
#
#   tools/dist_train.sh configs/retinanet_emo_2m_coco.py 8
#   python tools/test.py configs/retinanet_emo_2m_coco.py CHECKPOINT
#
# Expected mAP on val2017: 36.2 (official log); not reproduced here.
# 11,555,644 parameters. Batch 32 in all (8 x 4).
# The logged run starts from ImageNet weights, and then freezes the stem, the
# first stage and all batch statistics: add --cfg-options
# model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE model.backbone.frozen_stages=1
# model.backbone.norm_eval=True. From scratch, leave all four out.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_emo_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(type='lvt_dense.EMO', arch='2m'),
    neck=dict(in_channels=[32, 48, 120, 200]),
)
