# KITTI as for FCOS3D and PGD: one size for all cameras, flips alone.
_base_ = './kitti_mono3d.py'
resize = dict(type='lvt_dense.Resize3D', scale=(1242, 375), keep_ratio=True)
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
    resize,
    dict(type='lvt_dense.RandomFlip3D', prob=0.5),
    dict(type='lvt_dense.Pack3DInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', _scope_='lvt_dense'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    resize,
    dict(type='lvt_dense.Pack3DInputs'),
]
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
