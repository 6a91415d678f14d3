# SSDLite with LW PLG-ViT R on COCO at 320 x 320, in EMO's recipe.
#
#   tools/dist_train.sh configs/ssdlite_plg_vit_lw_r_320_coco.py 8
#   python tools/test.py configs/ssdlite_plg_vit_lw_r_320_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 5,149,476
# parameters, 1.41 GMACs at 320 x 320. Batch size 192 (8 x 24). Starts from
# random weights: PLG-ViT has no published ones.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_320_expand.py',
    './_base_/schedules/ssdlite_emo_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_r', out_indices=(2, 3)),
    neck=dict(
        in_channels=(160, 256),
        out_channels=(160, 256, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(160, 256, 512, 256, 256, 128)),
)
