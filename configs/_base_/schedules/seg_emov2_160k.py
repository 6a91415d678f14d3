# EMOv2's logged recipe on ADE20K with heads that read all levels, for 32
# images in all: twice as long as seg_emov2_80k.py, three times the warm-up,
# gradients as they are, and a head that learns ten times as fast.
max_iters = 160000
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=16000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1.2e-4, betas=(0.9, 0.999), weight_decay=0.05
    ),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(
        custom_keys=dict(
            norm=dict(decay_mult=0.0), decode_head=dict(lr_mult=10.0)
        )
    ),
)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False
    ),
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
