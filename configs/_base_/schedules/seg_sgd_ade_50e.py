# The recipe of MobileViT's authors on ADE20K: 50 epochs of 20,210 images in
# batches of 16, SGD, cosine, averaged weights.
max_iters = 63150
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=6315
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-4,
        begin=0,
        end=max_iters,
        by_epoch=False,
    ),
]
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.0005,
        update_buffers=True,
        priority=49,
    )
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
