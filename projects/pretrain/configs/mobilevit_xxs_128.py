# MobileViT-XXS on small images of ten classes, minutes on a CPU.
#
#   python projects/pretrain/crop_objects.py data/coco data/crops --classes 10
#   lvt-dense train projects/pretrain/configs/mobilevit_xxs_128.py \
#       --data-root data/crops
#
# The README of this project says what came of it.
_base_ = './base_224.py'
model = dict(
    type='lvt_dense.ImageClassifier',
    backbone=dict(type='lvt_dense.MobileViT', arch='xxs'),
    label_smoothing=0.1,
    mixup=0.2,
    num_classes=10,
)
size = (128, 128)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='lvt_dense.RandomResizedCrop', scale=size, area=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='lvt_dense.PackClassInputs'),
]
test_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='lvt_dense.PackClassInputs'),
]
train_dataloader = dict(
    batch_size=32, num_workers=1, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
max_epochs = 40
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=32)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.005,
        update_buffers=True,
        priority=49,
    )
]
