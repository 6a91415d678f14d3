# EMOv2's logged recipe: 120 epochs of AdamW for 192 images in all, 500
# iterations of warm-up, a flat rate, then a cosine over the second half.
# What the official code calls a norm does not decay: those of the backbone.
# Layer scales, biases and the norms of the heads do.
max_epochs = 120
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=0.0024, betas=(0.9, 0.999), weight_decay=0.05
    ),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
    clip_grad=dict(max_norm=0.1),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        T_max=max_epochs // 2,
        by_epoch=True,
        begin=max_epochs // 2,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=192, rule='sqrt')
