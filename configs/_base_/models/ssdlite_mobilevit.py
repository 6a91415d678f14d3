# SSDLite of the MobileViT paper: levels of strides 16 and 32 from the
# backbone, 64, 128, 256 and one cell of the whole image on top.
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=False,
    ),
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='s',
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(type='lvt_dense.SSDExtraLayers', in_channels=(128, 160)),
    bbox_head=dict(
        type='lvt_dense.MobileViTSSDHead',
        num_classes=80,
        in_channels=(128, 160, 256, 128, 128, 64),
        anchor_generator=dict(
            type='lvt_dense.RelativeAnchorGenerator',
            ratios=((2, 3), (2, 3), (2, 3), (2, 3), (2, 3), (2,)),
            scale_range=(0.1, 1.05),
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=(0.0, 0.0, 0.0, 0.0),
            target_stds=(0.1, 0.1, 0.2, 0.2),
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0.0,
            ignore_iof_thr=-1,
            gt_max_assign_all=False,
        ),
        sampler=dict(type='PseudoSampler'),
        smoothl1_beta=1.0,
        allowed_border=-1,
        pos_weight=-1,
        neg_pos_ratio=3,
        debug=False,
    ),
    test_cfg=dict(
        # The source keeps 200 boxes per class. The limit here is the same in
        # all; COCO evaluates the best 100 per class, so mAP is the same.
        nms_pre=2000,
        nms=dict(type='nms', iou_threshold=0.5),
        min_bbox_size=0,
        score_thr=0.01,
        max_per_img=16000,
    ),
)
