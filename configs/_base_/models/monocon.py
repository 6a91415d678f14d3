# MonoCon on the four levels of a pyramid. A config adds the backbone, the
# channels of its levels (neck) and of the finest one (head), and, if the
# backbone wants another than ImageNet's, the input normalization.
data_preprocessor = dict(
    type='DetDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)
model = dict(
    type='lvt_dense.Mono3DDetector',
    data_preprocessor=data_preprocessor,
    neck=dict(type='lvt_dense.DLAUp'),
    bbox_head=dict(
        type='lvt_dense.MonoConHead', num_classes=3, feat_channels=64
    ),
    # As in the official code. A lower threshold adds the tail of the
    # precision-recall curve, so that AP cannot fall.
    test_cfg=dict(topk=30, score_thr=0.4),
)
