# A light head after FCOS3D and PGD on the four levels of a pyramid: points,
# targets and direction are FCOS3D's; depth, keypoints and 2D boxes PGD's. Own
# choices: 64 channels in place of 256, no deformable convolutions, the best
# class of a point alone, rotated NMS with a class at a time, and images of
# one size in testing too.
# A config adds the backbone, the channels of its levels (neck) and, if the
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
    neck=dict(type='FPN', out_channels=64, num_outs=4),
    bbox_head=dict(
        type='lvt_dense.FCOS3DHead',
        num_classes=3,
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        strides=(4, 8, 16, 32),
    ),
    test_cfg=dict(nms_pre=100, score_thr=0.001, nms_thr=0.05, max_per_img=20),
)
