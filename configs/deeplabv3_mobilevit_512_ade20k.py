# DeepLabv3 with MobileViT-S on ADE20K at 512 x 512, output stride 8.
#
#   tools/dist_train.sh configs/deeplabv3_mobilevit_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_mobilevit_512_ade20k.py CHECKPOINT
#
# Expected mIoU on val: 38.5 (RangeAugment, arXiv 2212.10553); not reproduced
# here. The authors learn the strength of their augmentation; this config has
# photometric distortion instead. Batch 16 in all (4 x 4).
# 8,937,420 parameters with the auxiliary head; 51.33 GMACs at 512 x 512
# without it.
# The backbone starts from ImageNet weights: add --cfg-options
# model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE.
_base_ = [
    './_base_/models/deeplabv3.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_sgd_ade_50e.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=False,
        size=(512, 512),
    ),
    backbone=dict(type='lvt_dense.MobileViT', arch='s', output_stride=8),
    decode_head=dict(
        type='lvt_dense.AtrousPoolingHead',
        in_channels=160,
        channels=512,
        dilations=(12, 24, 36),
        num_classes=150,
    ),
    auxiliary_head=dict(in_channels=128, num_classes=150),
)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    {{_base_.load_mask}},
    dict(
        type='RandomChoiceResize',
        scales=list(range(256, 769)),
        resize_type='ResizeShortestEdge',
        max_size=1024,
    ),
    dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(interval=6315))
