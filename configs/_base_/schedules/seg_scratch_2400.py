# From scratch on a small data set, for one CPU core: 2,400 iterations of
# AdamW, averaged weights.
max_iters = 2400
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=400
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', power=0.9, begin=100, end=max_iters, by_epoch=False),
]
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.005,
        update_buffers=True,
        priority=49,
    )
]
