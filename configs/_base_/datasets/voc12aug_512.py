# PASCAL VOC 2012 with the masks of SBD (train_aug, 10,582 images; an epoch is
# ten times these), as the MobileViT paper's DeepLabv3 trains on it: the
# shorter side drawn from 256 to 1024 and brought up to the crop, the
# validation at 512 x 512.
dataset_type = 'PascalVOCDataset'
data_root = 'data/VOCdevkit/VOC2012/'
crop_size = (512, 512)
# Ours, under the plain names that MMSegmentation's inferencers look for.
load_image = dict(type='LoadImageFromFile', _scope_='lvt_dense')
load_mask = dict(type='LoadAnnotations', _scope_='lvt_dense', num_classes=21)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    load_mask,
    dict(
        type='RandomChoiceResize',
        scales=[max(512, side) for side in range(256, 1025)],
        resize_type='ResizeShortestEdge',
        max_size=4096,
    ),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    load_image,
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    load_mask,  # after Resize: metrics are of the original size
    dict(type='PackSegInputs'),
]
# Six sizes, each as it is and mirrored.
tta_pipeline = [
    load_image,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(int(512 * r), int(512 * r)),
                    keep_ratio=True,
                )
                for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [load_mask],
            [dict(type='PackSegInputs')],
        ],
    ),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='RepeatDataset',
        times=10,
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(
                    type=dataset_type,
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/train.txt',
                    data_prefix=dict(
                        img_path='JPEGImages/',
                        seg_map_path='SegmentationClass/',
                    ),
                    pipeline=train_pipeline,
                ),
                dict(
                    type=dataset_type,
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/aug.txt',
                    data_prefix=dict(
                        img_path='JPEGImages/',
                        seg_map_path='SegmentationClassAug/',
                    ),
                    pipeline=train_pipeline,
                ),
            ],
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path='JPEGImages/',
            seg_map_path='SegmentationClass/',
        ),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
