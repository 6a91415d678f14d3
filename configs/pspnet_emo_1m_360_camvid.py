# PSPNet with EMO-1M on CamVid, from scratch, small enough for a CPU.
#
#   python tools/train.py configs/pspnet_emo_1m_360_camvid.py
#   python tools/test.py configs/pspnet_emo_1m_360_camvid.py CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# that of the DeepLabv3 config. 4,303,278 parameters with the auxiliary head;
# 1.45 GMACs at 360 x 480 without it.
_base_ = [
    './_base_/models/pspnet.py',
    './_base_/datasets/camvid_360.py',
    './_base_/schedules/seg_scratch_900.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        size=(192, 256),
    ),
    backbone=dict(type='lvt_dense.EMO', arch='1m'),
    decode_head=dict(
        in_channels=168,
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
    auxiliary_head=dict(in_channels=80, num_classes=11),
)
default_hooks = dict(checkpoint=dict(interval=100))
