# DeepLabv3 with MobileViT-S on ADE20K at 512 x 512, output stride 8.
#
#   tools/dist_train.sh configs/deeplabv3_mobilevit_512_ade20k.py 4 --amp
#   python tools/test.py configs/deeplabv3_mobilevit_512_ade20k.py CHECKPOINT
#
# Expected mIoU on val: 38.5 (RangeAugment, arXiv 2212.10553; last or best is
# not stated); not reproduced here. Batch size 16 (4 x 4). The authors learn
# brightness, contrast and noise; here photometric distortion stands in for
# them. 8,770,508 parameters with the auxiliary head; 51.33 GMACs at 512 x 512
# without it. Starts from RangeAugment's ImageNet weights, which take RGB
# images:
# docs-assets.developer.apple.com/ml-research/models/cvnets-v2/examples/
# range_augment/classification/mobilevit_small.pt
_base_ = [
    './_base_/models/deeplabv3.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_sgd_ade_50e.py',
    './_base_/seg_epoch_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        size=(512, 512),
    ),
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='s',
        output_stride=8,
        init_cfg=dict(
            type='Pretrained', checkpoint='mobilevit_s.range_augment'
        ),
    ),
    decode_head=dict(
        type='lvt_dense.AtrousPoolingHead',
        in_channels=160,
        channels=512,
        dilations=(12, 24, 36),
        num_classes=150,
        align_corners=True,
        loss_decode=dict(avg_non_ignore=True),
    ),
    auxiliary_head=dict(
        in_channels=128,
        channels=128,
        num_classes=150,
        align_corners=True,
        loss_decode=dict(avg_non_ignore=True),
    ),
)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    {{_base_.load_mask}},
    dict(
        # the shorter side, up to a longer one of 1024
        type='RandomChoiceResize',
        scales=[(1024, side) for side in range(256, 769)],
        resize_type='Resize',
        keep_ratio=True,
        interpolation='bicubic',
    ),
    dict(
        type='lvt_dense.SegRandomCrop',
        crop_size=(512, 512),
        cat_max_ratio=0.75,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].interpolation = 'bicubic'
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
