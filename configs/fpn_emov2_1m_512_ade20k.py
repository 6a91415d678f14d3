# Semantic FPN with EMOv2-1M on ADE20K at 512 x 512 (EMOv2, arXiv 2412.06674).
#
#   tools/dist_train.sh configs/fpn_emov2_1m_512_ade20k.py 4
#   python tools/test.py configs/fpn_emov2_1m_512_ade20k.py CHECKPOINT
#
# Expected mIoU on val: 37.1 (official log, last value); not reproduced here.
# Batch size 32 (4 x 8). 5,371,026 parameters, 22.75 GMACs at 512 x 512. Starts
# from EMOv2's ImageNet weights.
_base_ = [
    './_base_/models/fpn.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_emov2_160k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='1m',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[32, 48, 80, 180]),
    decode_head=dict(num_classes=150),
)
train_dataloader = dict(batch_size=8)
