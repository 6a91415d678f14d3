# DeepLabv3 on CamVid with a supernet of NASViT as its backbone, from scratch.
#
#   export PYTHONPATH=projects
#   lvt-dense train projects/supernet/configs/deeplabv3_camvid.py
#
# Switches of the three remedies against conflicting gradients:
#
#   --cfg-options optim_wrapper.projection=False
#   --cfg-options model.switchable_scaling=False
#   --cfg-options train_dataloader.dataset.pipeline.4.prob=1.0  (strong
#       augmentation)
_base_ = [
    '../../../configs/_base_/models/deeplabv3_light.py',
    '../../../configs/_base_/datasets/camvid_360.py',
    '../../../configs/_base_/schedules/seg_scratch_900.py',
    '../../../configs/_base_/seg_runtime.py',
]
custom_imports = dict(imports=['supernet.catalog'])
crop_size = (192, 256)
module = _base_.model
module.data_preprocessor.size = crop_size
module.backbone = dict(type='lvt_dense.NASViT', output_stride=16)
module.decode_head.update(
    in_channels=184,
    channels=128,
    num_classes=11,
    dropout_ratio=0.0,  # weak augmentation
)
model = dict(_delete_=True, type='Supernet', module=module)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    _base_.load_mask,
    dict(
        type='RandomResize',
        scale=(480, 360),
        ratio_range=(0.5, 1.5),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(
        type='RandomApply',
        prob=0.0,
        transforms=[
            dict(type='PhotoMetricDistortion'),
            dict(
                type='RandomCutOut',
                prob=0.5,
                n_holes=(1, 4),
                cutout_shape=[(24, 32), (48, 64)],
            ),
        ],
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_cfg = dict(type='SubnetValLoop')
test_cfg = dict(type='SubnetTestLoop')
optim_wrapper = dict(
    _delete_=True,
    type='ConflictAwareOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.0),
)
model_wrapper_cfg = dict(type='DistributedSupernet', broadcast_buffers=False)
custom_hooks = [
    dict(type='ConflictMeter'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.01),
]
default_hooks = dict(checkpoint=dict(interval=300, save_best='max/mIoU'))
