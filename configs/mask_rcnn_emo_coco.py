# Mask R-CNN with EMO-5M on COCO, 1x.
#
#   tools/dist_train.sh configs/mask_rcnn_emo_coco.py 8
#   python tools/test.py configs/mask_rcnn_emo_coco.py CHECKPOINT
#
# There is no published box or mask mAP, and we have not measured one.
# 24,869,944 parameters. Batch size 16 (8 x 2). Starts from EMO's ImageNet
# weights.
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMO',
        arch='5m',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[48, 72, 160, 288]),
)
train_dataloader = dict(batch_size=2)
