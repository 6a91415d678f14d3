# DeepLabv3 with NASViT-T2 on ADE20K at 512 x 512, within 5 GMACs.
#
#   tools/dist_train.sh configs/deeplabv3_nasvit_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_nasvit_512_ade20k.py CHECKPOINT
#
# The NASViT paper has 37.9 mIoU on val for 5 GMACs (Gong et al., ICLR 2022);
# not reproduced here. Batch size 32 (4 x 8). 4,035,968 parameters; 2.30 GMACs
# at 512 x 512. The paper's decoder is not public: this one, the sub-network
# and the windows are our choice, within its budget of 5 GMACs. Starts from
# NASViT's ImageNet weights.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/ade20k_512.py',
    './_base_/schedules/seg_adamw_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        size=(512, 512),
    ),
    backbone=dict(
        type='lvt_dense.NASViT',
        arch='t2',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=176, dilations=(3, 6, 9), num_classes=150),
)
train_dataloader = dict(batch_size=8)
