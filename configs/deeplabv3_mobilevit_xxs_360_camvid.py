# DeepLabv3 with MobileViT-XXS on CamVid, from scratch, small enough for a CPU.
#
#   python tools/train.py configs/deeplabv3_mobilevit_xxs_360_camvid.py
#   python tools/test.py configs/deeplabv3_mobilevit_xxs_360_camvid.py \
#       CHECKPOINT
#
# 46.7 mIoU on val by us, over the 11 classes: one run of this config, 900
# iterations in 11 minutes on one core of an AMD EPYC. Schedule and number of
# iterations were chosen on val; test was not looked at. 1,852,283 parameters;
# 2.37 GMACs at 360 x 480.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/camvid_360.py',
    './_base_/schedules/seg_scratch_900.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=False,
        size=(192, 256),
    ),
    backbone=dict(type='lvt_dense.MobileViT', arch='xxs', output_stride=16),
    decode_head=dict(
        in_channels=80,
        num_classes=11,
        loss_decode=dict(
            _delete_=True,
            type='lvt_dense.WeightedCrossEntropy',
            # 1 / ln(1.05 + the share of a class in the pixels of train),
            # scaled to a mean of 1 over these pixels
            class_weight=[
                *(0.9, 0.7, 3.2, 0.6, 2.0, 1.3),
                *(3.1, 3.1, 1.8, 3.4, 3.6),
            ],
        ),
    ),
)
default_hooks = dict(checkpoint=dict(interval=100))
