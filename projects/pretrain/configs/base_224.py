# What the configs of this folder share: classes in data/classes/{train,val},
# images of 224 x 224 pixels, AdamW with a cosine, averaged weights.
import sys

sys.path.append('{{ fileDirname }}/../..')  # the folder of the projects
custom_imports = dict(
    imports=['pretrain.classifier', 'pretrain.data', 'pretrain.evaluation']
)
default_scope = 'mmengine'
data_root = 'data/classes/'
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='lvt_dense.RandomResizedCrop', scale=(224, 224)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='lvt_dense.PackClassInputs'),
]
test_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile'),
    # the shorter side is brought to 256 pixels
    dict(type='Resize', scale=(256, 100000), keep_ratio=True),
    dict(type='CenterCrop', crop_size=224),
    dict(type='lvt_dense.PackClassInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='lvt_dense.ClassFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='lvt_dense.ClassFolderDataset',
        data_root=data_root,
        data_prefix=dict(img_path='val/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='lvt_dense.TopKAccuracy', topk=(1, 5))
test_evaluator = val_evaluator

max_epochs = 300
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='lvt_dense.RoleOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3000),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=1024)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.0005,
        update_buffers=True,
        priority=49,
    )
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        save_best='accuracy/top1',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    finite_loss=dict(type='lvt_dense.FiniteLossHook'),
    class_count=dict(type='lvt_dense.ClassCountHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
sync_bn = 'torch'  # in distributed training only
