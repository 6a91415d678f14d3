# EMO's logged recipe on ADE20K, for 32 images in all: no warm-up.
# What the official code calls a norm does not decay. The stem's first batch
# norm and those of the heads have other names there, and decay, as biases do.
max_iters = 80000
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=8000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.2e-4, betas=(0.9, 0.999), weight_decay=0.01
    ),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(
        custom_keys={
            'norm': dict(decay_mult=0.0),
            'backbone.stem.0.norm': dict(decay_mult=1.0),
        }
    ),
)
param_scheduler = [
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=max_iters,
        by_epoch=False,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=32, rule='sqrt')
