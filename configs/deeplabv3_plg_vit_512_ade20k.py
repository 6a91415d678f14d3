# DeepLabv3 with LW PLG-ViT A on ADE20K at 512 x 512.
#
#   tools/dist_train.sh configs/deeplabv3_plg_vit_512_ade20k.py 4
#   python tools/test.py configs/deeplabv3_plg_vit_512_ade20k.py CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# EMO's. Batch size 32 (4 x 8). 6,008,606 parameters; 7.47 GMACs at 512 x 512.
# Starts from random weights: PLG-ViT has no published ones.
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
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_a'),
    decode_head=dict(in_channels=192, dilations=(3, 6, 9), num_classes=150),
)
train_dataloader = dict(batch_size=8)
