# MobileViT's recipe on VOC 2012: 50 epochs of AdamW for 128 images in all, 500
# iterations of warm-up, then a cosine by epoch; the decoder learns ten times
# as fast throughout, everything decays, and the weights are averaged.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=9e-4, betas=(0.9, 0.999), weight_decay=0.01
    ),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=500, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-6 / 9e-4,  # of the decoder's rate as well
        T_max=50,
        by_epoch=True,
        begin=0,
        end=50,
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
auto_scale_lr = dict(enable=False, base_batch_size=128, rule='sqrt')
