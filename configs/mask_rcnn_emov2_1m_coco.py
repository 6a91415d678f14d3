# Mask R-CNN with EMOv2-1M on COCO, 1x (EMOv2, arXiv 2412.06674).
#
#   tools/dist_train.sh configs/mask_rcnn_emov2_1m_coco.py 4
#   python tools/test.py configs/mask_rcnn_emov2_1m_coco.py CHECKPOINT
#
# Expected on val2017: box mAP 37.1, mask mAP 35.0 (official log, last epoch);
# not reproduced here. 21,271,788 parameters. Batch size 16 (4 x 4). Starts
# from EMOv2's ImageNet weights; stem, first stage and all batch norm
# statistics are frozen.
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
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
