# SSDLite with T2T-ViT-7 on COCO at 320 x 320, in EMO's recipe.
#
#   tools/dist_train.sh configs/ssdlite_t2t_vit_7_320_coco.py 8
#   python tools/test.py configs/ssdlite_t2t_vit_7_320_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 5,281,818
# parameters, 2.72 GMACs at 320 x 320. Batch size 192 (8 x 24). Starts from
# T2T-ViT's ImageNet weights.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_320_expand.py',
    './_base_/schedules/ssdlite_emo_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.T2TViT',
        arch='7',
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(
        in_channels=(256, 256),
        out_channels=(256, 256, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(256, 256, 512, 256, 256, 128)),
)
