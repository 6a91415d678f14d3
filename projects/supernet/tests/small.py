"""A small search space, and a small segmenter."""

from typing import Any

SPACE = dict(
    width=(
        *((16,), (16,), (24, 32), (32,), (64, 72)),
        *((112,), (160, 168), (208,)),
    ),
    depth=((1, 2), (3,), (3,), (3, 4), (3, 4), (3,), (3,)),
    kernel_size=((3, 5), (3,), (3,), (3,), (3,), (3,), (3,)),
    expand_ratio=((1,), (4, 5), (4,), (4,), (4,), (6,), (6,)),
)
SEGMENTER: dict[str, Any] = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.0] * 3,
        std=[64.0] * 3,
        size=(64, 64),
    ),
    backbone=dict(type='lvt_dense.NASViT'),
    decode_head=dict(
        type='lvt_dense.AtrousPoolingHead',
        in_channels=168,
        in_index=3,
        channels=8,
        dropout_ratio=0.0,
        num_classes=3,
        norm_cfg=dict(type='BN'),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=72,
        in_index=2,
        channels=8,
        num_convs=1,
        concat_input=True,
        dropout_ratio=0.0,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
