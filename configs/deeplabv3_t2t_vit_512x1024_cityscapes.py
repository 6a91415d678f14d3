# DeepLabv3 with T2T-ViT-14 on Cityscapes, crops of 512 x 1024.
#
#   tools/dist_train.sh configs/deeplabv3_t2t_vit_512x1024_cityscapes.py 4
#   python tools/test.py configs/deeplabv3_t2t_vit_512x1024_cityscapes.py \
#       CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# EMO's of ADE20K. Batch size 16 (4 x 4). 24,267,257 parameters; 96.88 GMACs at
# 512 x 1024. Attention is global: testing slides windows of the training size.
# Starts from T2T-ViT's ImageNet weights.
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
    backbone=dict(
        type='lvt_dense.T2TViT',
        arch='14',
        out_indices=(0, 1, 2),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_index=2, in_channels=384, num_classes=19),
    test_cfg=dict(mode='slide', crop_size=(512, 1024), stride=(384, 768)),
)
optim_wrapper = dict(optimizer=dict(lr=6e-5))
auto_scale_lr = dict(base_batch_size=16)
