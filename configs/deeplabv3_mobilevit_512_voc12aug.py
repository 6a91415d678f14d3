# DeepLabv3 with MobileViT-S on VOC 2012 alone.
#
#   tools/dist_train.sh configs/deeplabv3_mobilevit_512_voc12aug.py 4 --amp
#   python tools/test.py configs/deeplabv3_mobilevit_512_voc12aug.py CHECKPOINT
#
# There is no published result, and we have not measured one: MobileViT's
# authors train on images of COCO as well, see
# deeplabv3_mobilevit_512_coco_voc12aug.py. Here as many iterations, about
# 41,000, see those of VOC alone. 6,357,941 parameters; 13.69 GMACs at 512 x
# 512. Batch size 128 (4 x 32). Starts from MobileViT's ImageNet weights.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/voc12aug_512.py',
    './_base_/schedules/seg_adamw_voc_50e.py',
    './_base_/seg_epoch_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=False,
        size=(512, 512),
    ),
    backbone=dict(
        type='lvt_dense.MobileViT',
        arch='s',
        output_stride=16,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(in_channels=160, num_classes=21),
)
