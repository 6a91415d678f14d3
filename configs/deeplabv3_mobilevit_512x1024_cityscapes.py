# DeepLabv3 with MobileViT-S on Cityscapes, crops of 512 x 1024.
#
#   tools/dist_train.sh configs/deeplabv3_mobilevit_512x1024_cityscapes.py 4
#   python tools/test.py configs/deeplabv3_mobilevit_512x1024_cityscapes.py \
#       CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# EMO's of ADE20K. Batch size 16 (4 x 4). 6,357,427 parameters; 33.78 GMACs at
# 512 x 1024. Attention is global: testing slides windows of the training size.
# Starts from MobileViT's ImageNet weights.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/cityscapes_512x1024.py',
    './_base_/schedules/seg_adamw_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=False,
        size=(512, 1024),
    ),
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='s',
        output_stride=16,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=160, num_classes=19),
    test_cfg=dict(mode='slide', crop_size=(512, 1024), stride=(384, 768)),
)
optim_wrapper = dict(optimizer=dict(lr=6e-5))
auto_scale_lr = dict(base_batch_size=16)
