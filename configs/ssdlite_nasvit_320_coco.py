# SSDLite with NASViT-T2 on COCO at 320 x 320, in EMO's recipe.
#
#   tools/dist_train.sh configs/ssdlite_nasvit_320_coco.py 8
#   python tools/test.py configs/ssdlite_nasvit_320_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 3,477,982
# parameters, 0.62 GMACs at 320 x 320. Batch size 192 (8 x 24). Starts from
# NASViT's ImageNet weights.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_320_expand.py',
    './_base_/schedules/ssdlite_emo_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.NASViT',
        arch='t2',
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(
        in_channels=(64, 176),
        out_channels=(64, 176, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(64, 176, 512, 256, 256, 128)),
)
