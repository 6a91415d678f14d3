# KITTI, monocular 3D detection, on the plain folders:
#   data/kitti/training/{image_2,label_2,calib}
#   data/kitti/ImageSets/{train,val}.txt
dataset_type = 'lvt_dense.KittiMonoDataset'
data_root = 'data/kitti/'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
    ),
    dict(type='lvt_dense.RandomShift3D', prob=0.5, max_shift=32),
    dict(type='lvt_dense.RandomFlip3D', prob=0.5),
    dict(type='lvt_dense.Pack3DInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    dict(type='lvt_dense.Pack3DInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ImageSets/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='ImageSets/val.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='lvt_dense.KittiMetric')
test_evaluator = val_evaluator
