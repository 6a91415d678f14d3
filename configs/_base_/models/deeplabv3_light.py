# DeepLabv3 with the 1x1 projection of its paper and no auxiliary head, as
# MobileViT's authors train it. A config adds the backbone, its channels, the
# number of classes and the crop size; the rates are those of stride 16.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    decode_head=dict(
        type='lvt_dense.AtrousPoolingHead',
        in_index=3,
        channels=256,
        dilations=(6, 12, 18),
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
