# From scratch on a small data set, for one CPU core: 900 iterations of AdamW,
# whose rate falls slowly first and to zero in the second part.
max_iters = 900
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=250
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(
        type='LinearLR',
        start_factor=1.0,
        end_factor=0.88,
        begin=100,
        end=400,
        by_epoch=False,
    ),
    dict(type='PolyLR', power=1.0, begin=400, end=max_iters, by_epoch=False),
]
