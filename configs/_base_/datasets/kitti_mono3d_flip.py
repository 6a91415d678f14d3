# KITTI as for FCOS3D and PGD: one size for all cameras, flips alone.
_base_ = './kitti_mono3d.py'
resize = dict(type='lvt_dense.Resize3D', scale=(1242, 375), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    resize,
    dict(type='lvt_dense.RandomFlip3D', prob=0.5),
    dict(type='lvt_dense.Pack3DInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    resize,
    dict(type='lvt_dense.Pack3DInputs'),
]
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
