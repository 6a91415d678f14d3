# Classification of folders of images at 128 x 128, with a supernet of NASViT,
# from scratch: data/images/{train,val}/CLASS/*.jpg. Set the number of classes.
#
#   export PYTHONPATH=projects
#   lvt-dense train projects/supernet/configs/classify_folder.py \
#       --cfg-options model.module.head.num_classes=10
_base_ = '../../../configs/_base_/seg_epoch_runtime.py'
default_scope = 'mmseg'
custom_imports = dict(imports=['supernet.catalog'])
data_root = 'data/images/'
size = (128, 128)
load_image = dict(type='lvt_dense.LoadImageFromFile')
train_pipeline = [
    load_image,
    dict(type='RandomResize', scale=(144, 144), ratio_range=(0.9, 1.3)),
    dict(type='RandomCrop', crop_size=size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClassInputs'),
]
test_pipeline = [
    load_image,
    dict(type='Resize', scale=size),
    dict(type='PackClassInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ImageFolder',
        data_root=data_root + 'train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageFolder', data_root=data_root + 'val', pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopAccuracy')
test_evaluator = val_evaluator
model = dict(
    type='Supernet',
    module=dict(
        type='ImageClassifier',
        data_preprocessor=dict(
            type='ClassPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
        backbone=dict(type='lvt_dense.NASViT', out_indices=(4,)),
        head=dict(type='ClassificationHead', in_channels=224, num_classes=10),
    ),
)
max_epochs = 60
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5
)
val_cfg = dict(type='SubnetValLoop')
test_cfg = dict(type='SubnetTestLoop')
optim_wrapper = dict(
    type='ConflictAwareOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
model_wrapper_cfg = dict(type='DistributedSupernet', broadcast_buffers=False)
custom_hooks = [
    dict(type='ConflictMeter'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.01),
]
default_hooks = dict(checkpoint=dict(save_best='max/accuracy/top1'))
