# EMO's logged recipe: 120 epochs of AdamW for 192 images in all, 500
# iterations of warm-up, then a cosine by epoch. What the official code calls a
# norm does not decay. The stem's first batch norm and those of the heads have
# other names there, and decay, as biases do.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=120, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=0.0012, betas=(0.9, 0.999), weight_decay=0.05
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
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        T_max=120,
        by_epoch=True,
        begin=0,
        end=120,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=192, rule='sqrt')
