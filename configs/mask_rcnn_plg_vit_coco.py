# Mask R-CNN with LW PLG-ViT A on COCO, 1x.
#
#   tools/dist_train.sh configs/mask_rcnn_plg_vit_coco.py 8
#   python tools/test.py configs/mask_rcnn_plg_vit_coco.py CHECKPOINT
#
# There is no published box or mask mAP, and we have not measured one.
# 24,242,040 parameters. Batch size 16 (8 x 2). Starts from random weights:
# PLG-ViT has no published ones.
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_a'),
    neck=dict(in_channels=[64, 96, 128, 192]),
)
train_dataloader = dict(batch_size=2)
