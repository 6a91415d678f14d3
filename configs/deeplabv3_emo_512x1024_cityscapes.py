# DeepLabv3 with EMO-5M on Cityscapes, crops of 512 x 1024.
#
#   tools/dist_train.sh configs/deeplabv3_emo_512x1024_cityscapes.py 4
#   python tools/test.py configs/deeplabv3_emo_512x1024_cityscapes.py \
#       CHECKPOINT
#
# There is no published result, and we have not measured one: the recipe is
# EMO's of ADE20K. Batch size 16 (4 x 4). 10,288,494 parameters with the
# auxiliary head; 13.10 GMACs at 512 x 1024 without it. Starts from EMO's
# ImageNet weights.
_base_ = [
    './_base_/models/deeplabv3.py',
    './_base_/datasets/cityscapes_512x1024.py',
    './_base_/schedules/seg_adamw_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        size=(512, 1024),
    ),
    backbone=dict(
        type='lvt_dense.EMO',
        arch='5m',
        window_size=16,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=288, num_classes=19),
    auxiliary_head=dict(in_channels=160, num_classes=19),
)
optim_wrapper = dict(optimizer=dict(lr=6e-5))
auto_scale_lr = dict(base_batch_size=16)
