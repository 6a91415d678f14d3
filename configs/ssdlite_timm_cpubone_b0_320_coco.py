# SSDLite with CPUBone-B0 of timm on COCO at 320 x 320, in EMO's recipe.
#
#   tools/dist_train.sh configs/ssdlite_timm_cpubone_b0_320_coco.py 8
#   python tools/test.py configs/ssdlite_timm_cpubone_b0_320_coco.py CHECKPOINT
#
# There is no published mAP, and we have not measured one. 7,122,500
# parameters, 1.08 GMACs at 320 x 320. Batch size 192 (8 x 24). Starts from
# timm's ImageNet weights. Needs the extra timm.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_320_expand.py',
    './_base_/schedules/ssdlite_emo_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.Timm',
        arch='cpubone_b0_bfrobust.r224_in1k',
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(
        in_channels=(128, 256),
        out_channels=(128, 256, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(128, 256, 512, 256, 256, 128)),
)
# norms have many names in timm
optim_wrapper = dict(
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.0),
)
