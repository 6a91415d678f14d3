# KITTI, monocular 3D detection, on the plain folders:
#   data/kitti/training/{image_2,label_2,calib}
#   data/kitti/ImageSets/{train,val}.txt
dataset_type = 'lvt_dense.KittiMonoDataset'
data_root = 'data/kitti/'
# Scope and plain name: MMDetection's inferencer looks for the name alone.
load_image = dict(type='LoadImageFromFile', _scope_='lvt_dense')
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='lvt_dense.LoadAnnotations3D'),
    dict(
        type='lvt_dense.FilterObjects3D',
        min_height=25,
        depth_range=(2, 65),
        max_truncation=0.5,
        max_occlusion=2,
    ),
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
    load_image,
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
