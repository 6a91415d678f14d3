# SSDLite with MobileViT-XXS at 192 x 192 on rendered road scenes: what `make
# demo` trains, in minutes on two CPU cores.
#
#   python tools/make_demo_data.py --format coco --out data/demo --images 480
#   python tools/train.py configs/ssdlite_mobilevit_xxs_192_demo.py
#
# Expected on the 120 held-out scenes: mAP@50 0.66, mAP 0.30, after four minutes
# on two cores. Other seeds reached mAP@50 0.56 to 0.65.
# Starts from random weights.
_base_ = './ssdlite_mobilevit_xxs_320_coco.py'
data_root = 'data/demo/'
classes = ('person', 'bicycle', 'car')
metainfo = dict(
    classes=classes, palette=[(220, 20, 60), (250, 170, 30), (0, 60, 230)]
)
model = dict(
    backbone=dict(init_cfg=None), bbox_head=dict(num_classes=len(classes))
)
input_size = (192, 192)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=16,
        contrast_range=(0.8, 1.2),
        saturation_range=(0.8, 1.2),
        hue_delta=9,
    ),
    dict(type='Resize', scale=input_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    _base_.drop_flat,
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = input_size
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
max_epochs = 17
train_cfg = dict(max_epochs=max_epochs, val_interval=9)
randomness = dict(seed=0)  # the same result at every run
# Without the limit, one start of two learns nothing for 1,000 updates.
optim_wrapper = dict(optimizer=dict(lr=0.0024), clip_grad=dict(max_norm=5))
auto_scale_lr = dict(base_batch_size=4)
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
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.01,
        update_buffers=True,
        priority=49,
    )
]
default_hooks = dict(logger=dict(interval=10))
