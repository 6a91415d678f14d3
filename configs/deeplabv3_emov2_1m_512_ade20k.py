# DeepLabv3 with EMOv2-1M on ADE20K at 512 x 512 (EMOv2, arXiv 2412.06674).
#
#   tools/dist_train.sh configs/deeplabv3_emov2_1m_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_emov2_1m_512_ade20k.py CHECKPOINT
#
# Expected mIoU on val: 34.6 (official log, last value); not reproduced here.
# Batch size 32 (4 x 8). 5,829,928 parameters with the auxiliary head; 2.71
# GMACs at 512 x 512 without it. Starts from EMOv2's ImageNet weights.
_base_ = [
    './_base_/models/deeplabv3.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_emov2_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='1m',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=180, num_classes=150),
    auxiliary_head=dict(in_channels=80, num_classes=150),
)
train_dataloader = dict(batch_size=8)
sync_bn = None  # as in the logged run
