# DeepLabv3 with MobileViT-XXS on CamVid: one of six families with one recipe.
#
#   lvt-dense train projects/frontier/camvid/mobilevit_xxs.py \
#       --data-root data/camvid --epochs 4
#
# The recipe of configs/deeplabv3_mobilevit_xxs_360_camvid.py on images of half
# the size, to fit all five into an hour of one CPU core; the results are in
# projects/frontier/README.md.
_base_ = ['../../../configs/deeplabv3_mobilevit_xxs_360_camvid.py']
crop_size = (128, 160)
scale = (240, 180)
load_mask = dict(type='LoadAnnotations', _scope_='lvt_dense', num_classes=11)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    load_mask,
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.6, 1.5),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', _scope_='lvt_dense'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    load_mask,  # after Resize: figures are of the original size
    dict(type='PackSegInputs'),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(data_preprocessor=dict(size=crop_size))
train_cfg = dict(val_interval=900)
