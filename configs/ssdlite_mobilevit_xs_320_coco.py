# SSDLite with MobileViT-XS on COCO at 320 x 320 (MobileViT, arXiv 2110.02178).
#
#   tools/dist_train.sh configs/ssdlite_mobilevit_xs_320_coco.py 4 --amp
#   python tools/test.py configs/ssdlite_mobilevit_xs_320_coco.py CHECKPOINT
#
# Expected mAP on val2017: 24.8 (paper and official repository; last or best is
# not stated); not reproduced here. 2,742,042 parameters, 1.85 GMACs at 320 x
# 320. Batch size 128 (4 x 32). Starts from MobileViT's ImageNet weights.
_base_ = [
    './_base_/models/ssdlite_mobilevit.py',
    './_base_/datasets/coco_ssd_320.py',
    './_base_/schedules/ssdlite_mobilevit_200e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(arch='xs'),
    neck=dict(in_channels=(80, 96)),
    bbox_head=dict(in_channels=(80, 96, 256, 128, 128, 64)),
)
