# PGD's schedule on KITTI, 48 epochs, with AdamW in place of SGD at 1e-3:
# SGD suits its ResNet, and none of the transformers was trained with it.
max_epochs = 48
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2.5e-4, weight_decay=1e-2),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(
        bias_lr_mult=2.0, norm_decay_mult=0.0, bias_decay_mult=0.0
    ),
    clip_grad=dict(max_norm=35.0, norm_type=2),
)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1 / 3, begin=0, end=500, by_epoch=False
    ),
    dict(
        type='MultiStepLR',
        milestones=[32, 44],
        gamma=0.1,
        begin=0,
        end=max_epochs,
        by_epoch=True,
    ),
]
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=4
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=12, rule='sqrt')
