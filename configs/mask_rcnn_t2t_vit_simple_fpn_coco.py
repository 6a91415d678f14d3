# Mask R-CNN with T2T-ViT-14 and a simple feature pyramid on COCO, 1x.
#
#   tools/dist_train.sh configs/mask_rcnn_t2t_vit_simple_fpn_coco.py 8
#   python tools/test.py configs/mask_rcnn_t2t_vit_simple_fpn_coco.py \
#       CHECKPOINT
#
# There is no published box or mask mAP, and we have not measured one.
# 41,922,870 parameters. Batch size 16 (8 x 2). As in ViTDet, every level of
# the pyramid is made from the last block's map of stride 16. Most blocks
# attend in windows, as the images are large. Starts from T2T-ViT's ImageNet
# weights.
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.PlainT2TViT',
        arch='14',
        out_indices=(3,),
        window_size=14,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(_delete_=True, type='lvt_dense.SimpleFPN', in_channels=[384]),
)
train_dataloader = dict(batch_size=2)
