# MonoCon's recipe: 200 epochs of AdamW, one cycle of learning rate and
# momentum. Cosines instead of OneCycleLR, which knows one peak for all
# parameters and would undo the double rate of the biases.
max_epochs = 200
peak = 80  # epoch, 40 % of them
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=2.25e-4, betas=(0.95, 0.99), weight_decay=1e-5
    ),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(
        bias_lr_mult=2.0,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        # Scale and shift of the attentive normalization.
        custom_keys={
            'mixed_scale': dict(decay_mult=0.0),
            'mixed_shift': dict(decay_mult=0.0),
        },
    ),
    clip_grad=dict(max_norm=35.0, norm_type=2),
)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=10,
        T_max=peak,
        begin=0,
        end=peak,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-4,
        T_max=max_epochs - peak,
        begin=peak,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingMomentum',
        eta_min=0.85,
        T_max=peak,
        begin=0,
        end=peak,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingMomentum',
        eta_min=0.95,
        T_max=max_epochs - peak,
        begin=peak,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=10
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8, rule='sqrt')
