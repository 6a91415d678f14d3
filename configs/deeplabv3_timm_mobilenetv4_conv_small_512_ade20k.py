# DeepLabv3 with MobileNetV4-Conv-S of timm on ADE20K at 512 x 512.
#
#   tools/dist_train.sh configs/deeplabv3_timm_mobilenetv4_conv_small_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_timm_mobilenetv4_conv_small_512_ade20k.py CHECKPOINT
#
# There is no published result with this head, and we have not measured one.
# Batch size 32 (4 x 8). 11,639,692 parameters with the auxiliary head; 3.49
# GMACs at 512 x 512 without it. Starts from timm's ImageNet weights. Needs the
# extra timm.
_base_ = [
    './_base_/models/deeplabv3.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_adamw_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        size=(512, 512),
    ),
    backbone=dict(
        type='lvt_dense.Timm',
        arch='mobilenetv4_conv_small.e2400_r224_in1k',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=960, num_classes=150),
    auxiliary_head=dict(in_channels=96, num_classes=150),
)
train_dataloader = dict(batch_size=8)
# norms have many names in timm
optim_wrapper = dict(
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.0),
)
