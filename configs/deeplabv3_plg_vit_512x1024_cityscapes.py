# DeepLabv3 with LW PLG-ViT A on Cityscapes, crops of 512 x 1024.
#
#   tools/dist_train.sh configs/deeplabv3_plg_vit_512x1024_cityscapes.py 4
#   python tools/test.py configs/deeplabv3_plg_vit_512x1024_cityscapes.py \
#       CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# EMO's of ADE20K. Batch size 16 (4 x 4). 5,974,939 parameters; 14.86 GMACs at
# 512 x 1024. Starts from random weights: PLG-ViT has no published ones.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/cityscapes_512x1024.py',
    './_base_/schedules/seg_adamw_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        size=(512, 1024),
    ),
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_a'),
    decode_head=dict(in_channels=192, dilations=(3, 6, 9), num_classes=19),
)
optim_wrapper = dict(optimizer=dict(lr=6e-5))
auto_scale_lr = dict(base_batch_size=16)
