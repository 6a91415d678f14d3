# Mask R-CNN with MobileViT-S on COCO at 1024 x 1024, the long recipe of
# MobileViT's authors (RangeAugment, arXiv 2212.10553).
#
#   tools/dist_train.sh configs/mask_rcnn_mobilevit_1024_coco.py 8 --amp
#   python tools/test.py configs/mask_rcnn_mobilevit_1024_coco.py CHECKPOINT
#
# Expected on val2017: box mAP 42.0, mask mAP 37.7 (official repository; last
# or best is not stated); not reproduced here. 27,349,648 parameters. Batch size
# 32 (8 x 4) at 1024 pixels; as in the official recipe, the images of a batch
# have one of ten sizes from 512 to 1280 pixels. Unlike here, the official
# recipe also learns brightness, contrast and noise, has a norm in the
# deconvolution of the mask head, does not shift regions by half a pixel, and
# does not flip images.
# Starts from RangeAugment's ImageNet weights, which take RGB images:
# docs-assets.developer.apple.com/ml-research/models/cvnets-v2/examples/
# range_augment/classification/mobilevit_small.pt
_base_ = [
    './_base_/models/mask_rcnn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/det_sgd_100e.py',
    './_base_/default_runtime.py',
]
norm_cfg = dict(type='BN')
smooth_l1 = dict(
    _delete_=True, type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0
)
roi_extractor = dict(
    roi_layer=dict(sampling_ratio=2),
    featmap_strides=[4, 8, 16, 32, 64],
)
image_scale = (1024, 1024)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='lvt_dense.DrawnSize',
        transform=dict(type='Resize', scale=image_scale, keep_ratio=False),
        base_size=image_scale,
    ),
    dict(type='RandomFlip', prob=0.5),
    _base_.drop_flat,
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', _scope_='lvt_dense'),
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
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='s',
        init_cfg=dict(
            type='Pretrained', checkpoint='mobilevit_s.range_augment'
        ),
    ),
    neck=dict(
        _delete_=True,
        type='lvt_dense.TopDownFPN',
        in_channels=[64, 96, 128, 160],
        norm_cfg=norm_cfg,
    ),
    rpn_head=dict(
        type='lvt_dense.NormRPNHead',
        num_convs=2,
        norm_cfg=norm_cfg,
        loss_bbox=smooth_l1,
    ),
    roi_head=dict(
        bbox_roi_extractor=roi_extractor,
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels=256,
            norm_cfg=norm_cfg,
            loss_bbox=smooth_l1,
        ),
        mask_roi_extractor=roi_extractor,
        mask_head=dict(norm_cfg=norm_cfg),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(neg_iou_thr=0.7)),
        rpn_proposal=dict(max_per_img=2000),
    ),
)
train_dataloader = dict(
    batch_sampler=dict(
        _delete_=True,
        type='lvt_dense.VariableBatchSampler',
        base_size=image_scale,
        size_range=(0.5, 1.25),
        num_scales=10,
    ),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
