# SegFormer's head with EMOv2-2M on ADE20K at 512 x 512 (EMOv2, arXiv
# 2412.06674).
#
#   tools/dist_train.sh configs/segformer_emov2_2m_512_ade20k.py 4
#   python tools/test.py configs/segformer_emov2_2m_512_ade20k.py CHECKPOINT
#
# Expected mIoU on val: 40.2 (official log, last value); not reproduced here.
# Batch size 32 (4 x 8). 2,676,118 parameters, 9.16 GMACs at 512 x 512. Starts
# from EMOv2's ImageNet weights.
_base_ = [
    './_base_/models/segformer.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_emov2_160k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='2m',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(
        in_channels=[32, 48, 120, 200],
        channels=288,
        num_classes=150,
    ),
)
train_dataloader = dict(batch_size=8)
