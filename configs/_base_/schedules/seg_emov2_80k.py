# EMOv2's logged recipe on ADE20K, for 32 images in all: 80,000 iterations of
# AdamW, 500 of them of warm-up, a flat rate, then a cosine over the second
# half. What the official code calls a norm does not decay: those of the
# backbone. Layer scales, biases and the norms of the heads do.
max_iters = 80000
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=8000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.2e-4, betas=(0.9, 0.999), weight_decay=0.05
    ),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
    clip_grad=dict(max_norm=0.1),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, begin=0, end=500, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        T_max=max_iters // 2,
        begin=max_iters // 2,
        end=max_iters,
        by_epoch=False,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=32, rule='sqrt')
