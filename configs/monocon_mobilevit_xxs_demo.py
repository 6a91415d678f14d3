# MonoCon with MobileViT-XXS on rendered road scenes: well within an hour of
# two CPU cores.
#
#   python tools/make_demo_data.py --format kitti --out data/demo_kitti \
#       --images 1200 --val-fraction 0.1667
#   python tools/train.py configs/monocon_mobilevit_xxs_demo.py
#
_base_ = './monocon_mobilevit_xxs_kitti.py'
data_root = 'data/demo_kitti/'
max_epochs, peak = 12, 3
# In a run as short as this, shifts and changes of colour cost more than they
# give: the height of an object in the image tells its depth.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    _base_.resize,
    dict(type='lvt_dense.RandomFlip3D', prob=0.5),
    dict(type='lvt_dense.Pack3DInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
rise = dict(T_max=peak, end=peak)
fall = dict(T_max=max_epochs - peak, begin=peak, end=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(rise)
param_scheduler[1].update(fall)
param_scheduler[2].update(rise)
param_scheduler[3].update(fall)
train_cfg = dict(max_epochs=max_epochs, val_interval=6)
default_hooks = dict(checkpoint=dict(interval=1))
