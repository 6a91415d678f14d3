# MonoCon with MobileViT-XXS on KITTI at half the size, from scratch: small
# enough for a CPU.
#
#   python tools/train.py configs/monocon_mobilevit_xxs_kitti.py \
#       --data-root data/kitti
_base_ = [
    './_base_/models/monocon.py',
    './_base_/datasets/kitti_mono3d.py',
    './_base_/schedules/monocon_200e.py',
    './_base_/mono3d_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=False
    ),
    backbone=dict(type='lvt_dense.MobileViT', arch='xxs'),
    neck=dict(in_channels=[24, 48, 64, 80]),
    bbox_head=dict(in_channels=24),
    # A short training from scratch has few scores above 0.4.
    test_cfg=dict(score_thr=0.05),
)
resize = dict(type='lvt_dense.Resize3D', scale=(640, 192), keep_ratio=True)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(type='lvt_dense.LoadAnnotations3D'),
    # In pixels of the original image.
    dict(type='lvt_dense.FilterObjects3D', min_height=25),
    resize,
    dict(type='PhotoMetricDistortion'),
    dict(type='lvt_dense.RandomShift3D', prob=0.5, max_shift=16),
    dict(type='lvt_dense.RandomFlip3D', prob=0.5),
    dict(type='lvt_dense.Pack3DInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', _scope_='lvt_dense'),
    dict(type='lvt_dense.LoadAnnotations3D'),
    resize,
    dict(type='lvt_dense.Pack3DInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
