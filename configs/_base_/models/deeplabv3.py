# DeepLabv3 on the last level of a pyramid. A config adds the backbone, the
# input channels of the head and, if need be, the input normalisation.
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    decode_head=dict(
        type='lvt_dense.AtrousPoolingHead',
        in_index=3,
        channels=256,
        dilations=(6, 12, 18),
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(
            type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
