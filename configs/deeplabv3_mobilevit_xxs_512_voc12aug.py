# DeepLabv3 with MobileViT-XXS on VOC 2012 (MobileViT, arXiv 2110.02178).
#
#   tools/dist_train.sh configs/deeplabv3_mobilevit_xxs_512_voc12aug.py 4
#   python tools/test.py configs/deeplabv3_mobilevit_xxs_512_voc12aug.py \
#       CHECKPOINT
#
# Expected mIoU on val: 73.6 (paper), 72.8 (official repository); not
# reproduced here. The authors add images of COCO with the classes of VOC,
# which this config does not have. Batch 128 in all (4 x 32).
# 1,854,853 parameters; 3.95 GMACs at 512 x 512.
# The backbone starts from ImageNet weights: add --cfg-options
# model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/voc12aug_512.py',
    './_base_/schedules/seg_adamw_voc_50e.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=False,
        size=(512, 512),
    ),
    backbone=dict(type='lvt_dense.MobileViT', arch='xxs', output_stride=16),
    decode_head=dict(in_channels=80, num_classes=21),
)
default_hooks = dict(checkpoint=dict(interval=500))
