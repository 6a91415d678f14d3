# The supernet of deeplabv3_camvid.py at a quarter of the pixels a side, for
# experiments on a few CPU cores: see experiment.py.
_base_ = './deeplabv3_camvid.py'
crop_size = (96, 128)
train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=(160, 120), ratio_range=(0.8, 1.25))
train_pipeline[3].crop_size = crop_size
train_pipeline[4].transforms[1].cutout_shape = [(12, 16), (24, 32)]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (160, 120)
model = dict(
    module=dict(
        data_preprocessor=dict(size=crop_size),
        decode_head=dict(channels=64),
    )
)
train_dataloader = dict(
    batch_size=3,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader
max_iters = 100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(
    subnets=['min', 'random:0', 'random:1', 'max'], calibration_batches=16
)
test_cfg = dict(
    subnets=['min', 'random:0', 'random:1', 'max'], calibration_batches=16
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=max_iters,
        eta_min=1e-5,
        begin=20,
        end=max_iters,
        by_epoch=False,
    ),
]
custom_hooks = [
    dict(type='ConflictMeter'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.05),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=max_iters, save_best=None),
)
