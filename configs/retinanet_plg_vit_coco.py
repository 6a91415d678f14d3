# RetinaNet with LW PLG-ViT A on COCO, 1x.
#
#   tools/dist_train.sh configs/retinanet_plg_vit_coco.py 8
#   python tools/test.py configs/retinanet_plg_vit_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 13,587,324
# parameters, 187.01 GMACs at 800 x 1344. Batch size 16 (8 x 2). Starts from
# random weights: PLG-ViT has no published ones.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_a'),
    neck=dict(in_channels=[64, 96, 128, 192]),
)
train_dataloader = dict(batch_size=2)
