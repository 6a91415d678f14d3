# SSDLite with EMO-5M on COCO at 320 x 320 (EMO, arXiv 2301.01146).
#
#   tools/dist_train.sh configs/ssdlite_emo_320_coco.py 8
#   python tools/test.py configs/ssdlite_emo_320_coco.py CHECKPOINT
#
# Expected mAP on val2017: 27.9 (official log); not reproduced here.
# 6,076,540 parameters, 1.97 GMACs. Batch 192 in all (8 x 24).
# The logged run starts from ImageNet weights, with frozen batch statistics: add
# --cfg-options model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE model.backbone.norm_eval=True.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_320_expand.py',
    './_base_/schedules/ssdlite_emo_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMO',
        arch='5m',
        out_indices=(2, 3),
        window_size=10,
    ),
    neck=dict(
        in_channels=(160, 288),
        out_channels=(160, 288, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(160, 288, 512, 256, 256, 128)),
)
