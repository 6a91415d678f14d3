# MonoCon with MobileViT-XXS, from scratch, on the frames of
# ImageSets/train.txt by heart: no augmentation, and validated on them.
_base_ = '../../configs/monocon_mobilevit_xxs_kitti.py'
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='lvt_dense.LoadAnnotations3D'),
    _base_.resize,
    dict(type='lvt_dense.Pack3DInputs'),
]
max_epochs, peak = 200, 70
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(ann_file='ImageSets/train.txt'),
)
rise = dict(T_max=peak, end=peak)
fall = dict(T_max=max_epochs - peak, begin=peak, end=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(rise)
param_scheduler[1].update(fall)
param_scheduler[2].update(rise)
param_scheduler[3].update(fall)
train_cfg = dict(max_epochs=max_epochs, val_interval=50)
default_hooks = dict(checkpoint=dict(interval=50), logger=dict(interval=8))
randomness = dict(seed=0)
