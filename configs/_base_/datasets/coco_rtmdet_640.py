# COCO 2017 as RTMDet-tiny trains on it: mosaics and mixtures of images at 640
# x 640; the schedule turns both off for the last epochs (plain_pipeline).
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
input_size = (640, 640)
gray = (114, 114, 114)
# A box without area, as a crop can leave it, makes the loss infinite.
drop_flat = dict(
    type='FilterAnnotations', min_gt_bbox_wh=(0.01, 0.01), keep_empty=False
)
load = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='LoadAnnotations', with_bbox=True),
]
distort = [
    dict(type='RandomCrop', crop_size=input_size),
    dict(type='lvt_dense.YOLOXHSVRandomAug'),
    dict(type='lvt_dense.RandomFlip', prob=0.5),
    dict(type='Pad', size=input_size, pad_val=dict(img=gray)),
]
train_pipeline = [
    *load,
    dict(
        type='lvt_dense.CachedMosaic',
        img_scale=input_size,
        pad_val=114.0,
        max_cached_images=20,
        random_pop=False,
    ),
    dict(
        type='RandomResize',
        scale=(1280, 1280),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    *distort,
    dict(
        type='lvt_dense.CachedMixUp',
        img_scale=input_size,
        ratio_range=(1.0, 1.0),
        max_cached_images=10,
        random_pop=False,
        pad_val=gray,
        prob=0.5,
    ),
    drop_flat,
    dict(type='PackDetInputs'),
]
plain_pipeline = [
    *load,
    dict(
        type='RandomResize',
        scale=input_size,
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    *distort,
    drop_flat,
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', _scope_='lvt_dense'),
    dict(type='Resize', scale=input_size, keep_ratio=True),
    dict(type='Pad', size=input_size, pad_val=dict(img=gray)),
    dict(type='LoadAnnotations', with_bbox=True),
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
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='lvt_dense.CocoMetric',
    ann_file=data_root + 'annotations/instances_val2017.json',
    metric='bbox',
)
test_evaluator = val_evaluator
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.0002,
        update_buffers=True,
        priority=49,
    ),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=280,
        switch_pipeline=plain_pipeline,
    ),
]
