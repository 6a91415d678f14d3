# One recipe for all backbones on images of 64 x 64 pixels, such as Tiny
# ImageNet's: what its README compares.
_base_ = './base_224.py'
size = (64, 64)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='lvt_dense.RandomResizedCrop', scale=size, area=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='lvt_dense.PackClassInputs'),
]
test_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='lvt_dense.PackClassInputs'),
]
train_dataloader = dict(
    batch_size=64, num_workers=1, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=200, num_workers=1, dataset=dict(pipeline=test_pipeline)
)
test_dataloader = val_dataloader
max_epochs = 20
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=64)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.002,
        update_buffers=True,
        priority=49,
    )
]
