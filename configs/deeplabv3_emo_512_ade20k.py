# DeepLabv3 with EMO-5M on ADE20K at 512 x 512 (EMO, arXiv 2301.01146).
#
#   tools/dist_train.sh configs/deeplabv3_emo_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_emo_512_ade20k.py CHECKPOINT
#
# Expected mIoU on val: 37.8 (official log, last value); not reproduced here.
# Batch size 32 (4 x 8; officially 8 x 4). 10,355,828 parameters with the
# auxiliary head; 6.56 GMACs at 512 x 512 without it. Starts from EMO's
# ImageNet weights.
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
        type='lvt_dense.EMO',
        arch='5m',
        window_size=16,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=288, num_classes=150),
    auxiliary_head=dict(in_channels=160, num_classes=150),
)
train_dataloader = dict(batch_size=8)
