# People of COCO at 320 x 320: data and schedule that both detectors share.
_base_ = [
    '../../../configs/_base_/datasets/coco_ssd_320_expand.py',
    '../../../configs/_base_/default_runtime.py',
]
metainfo = dict(classes=('person',), palette=[(220, 20, 60)])
train_dataloader = dict(
    batch_size=16,
    dataset=dict(dataset=dict(metainfo=metainfo)),
)
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
max_epochs = 12
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=3
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, bypass_duplicate=True
    ),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=100),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
