# SSDLite at 192 x 192 on rendered road scenes, with a supernet of NASViT as
# its backbone, from scratch.
#
#   lvt-dense make-demo-data --format coco --out data/demo --images 480
#   export PYTHONPATH=projects
#   lvt-dense train projects/supernet/configs/ssdlite_demo.py
_base_ = '../../../configs/ssdlite_mobilevit_xxs_192_demo.py'
custom_imports = dict(imports=['supernet.catalog'])
module = _base_.model
module.data_preprocessor = dict(
    type='DetDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
module.backbone = dict(type='lvt_dense.NASViT', out_indices=(2, 3))
module.neck.in_channels = (72, 184)
module.bbox_head.in_channels = (72, 184, 256, 128, 128, 64)
model = dict(_delete_=True, type='Supernet', module=module)
val_cfg = dict(type='SubnetValLoop')
test_cfg = dict(type='SubnetTestLoop')
optim_wrapper = dict(
    _delete_=True,
    type='ConflictAwareOptimWrapper',
    optimizer=dict(type='AdamW', lr=0.0012, weight_decay=0.0),
)
model_wrapper_cfg = dict(type='DistributedSupernet', broadcast_buffers=False)
custom_hooks = [
    dict(type='ConflictMeter'),
    dict(
        type='EMAHook',
        ema_type='ExponentialMovingAverage',
        momentum=0.01,
        update_buffers=True,
        priority=49,
    ),
]
default_hooks = dict(checkpoint=dict(save_best='max/coco/bbox_mAP'))
