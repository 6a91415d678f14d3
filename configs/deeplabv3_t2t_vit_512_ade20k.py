# DeepLabv3 with T2T-ViT-14 on ADE20K at 512 x 512.
#
#   tools/dist_train.sh configs/deeplabv3_t2t_vit_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_t2t_vit_512_ade20k.py CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# EMO's. Batch size 32 (4 x 8). 24,300,924 parameters; 37.21 GMACs at 512 x
# 512. The head reads the tokens, at stride 16. Starts from T2T-ViT's ImageNet
# weights.
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
        type='lvt_dense.T2TViT',
        arch='14',
        out_indices=(0, 1, 2),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_index=2, in_channels=384, num_classes=150),
)
train_dataloader = dict(batch_size=8)
