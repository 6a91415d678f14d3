# RetinaNet with T2T-ViT-14 on COCO, 1x.
#
#   tools/dist_train.sh configs/retinanet_t2t_vit_coco.py 8
#   python tools/test.py configs/retinanet_t2t_vit_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 31,003,098
# parameters, 320.46 GMACs at 800 x 1344. Batch size 16 (8 x 2). The pyramid is
# the network's own: both token layers, the last block, and its maxima at
# stride 32. Most blocks attend in windows, as the images are large. Starts
# from T2T-ViT's ImageNet weights.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.T2TViT',
        arch='14',
        window_size=14,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[64, 64, 384, 384]),
)
train_dataloader = dict(batch_size=2)
