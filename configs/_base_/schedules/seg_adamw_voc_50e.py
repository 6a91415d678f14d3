# MobileViT's recipe on VOC 2012: 50 epochs of the 10,582 images of train_aug
# in batches of 128; the decoder learns ten times as fast, and the weights
# are averaged.
max_iters = 4134
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=500
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=9e-4, betas=(0.9, 0.999), weight_decay=0.01
    ),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=500, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        begin=500,
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
auto_scale_lr = dict(enable=False, base_batch_size=128)
