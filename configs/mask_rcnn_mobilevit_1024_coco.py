# Mask R-CNN with MobileViT-S on COCO at 1024 x 1024, the long recipe of
# MobileViT's authors (RangeAugment, arXiv 2212.10553).
#
#   tools/dist_train.sh configs/mask_rcnn_mobilevit_1024_coco.py 8
#   python tools/test.py configs/mask_rcnn_mobilevit_1024_coco.py CHECKPOINT
#
# Expected on val2017: box mAP 42.0, mask mAP 37.7 (official repository); not
# reproduced here. 26,168,720 parameters. Batch 32 in all (8 x 4).
# There, batches come in ten sizes from 512 to 1280 pixels, and brightness,
# contrast and noise are learnt; here the size is fixed and the images are
# only flipped.
# The backbone starts from the authors' later ImageNet weights, which expect
# RGB images: add --cfg-options model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE.
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/det_sgd_100e.py',
    './_base_/default_runtime.py',
]
norm_cfg = dict(type='BN')
image_scale = (1024, 1024)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=image_scale, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
        ),
    ),
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=True
    ),
    backbone=dict(type='lvt_dense.MobileViT', arch='s'),
    neck=dict(in_channels=[64, 96, 128, 160], norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels=256,
            norm_cfg=norm_cfg,
        ),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
