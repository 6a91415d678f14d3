# RetinaNet with CPUBone-B0 of timm on COCO, 1x (arXiv 2603.26425).
#
#   tools/dist_train.sh configs/retinanet_timm_cpubone_b0_coco.py 8
#   python tools/test.py configs/retinanet_timm_cpubone_b0_coco.py CHECKPOINT
#
# There is no published mAP of this recipe, and we have not measured one;
# CPUBone's README states 37.5 with its own. 15,436,548 parameters, 170.52
# GMACs at 800 x 1344. Batch size 16 (8 x 2). Starts from timm's ImageNet
# weights. Needs the extra timm.
_base_ = [
    './_base_/models/retinanet.py',
    './_base_/datasets/coco_detection.py',
    './_base_/schedules/det_adamw_1x.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.Timm',
        arch='cpubone_b0_bfrobust.r224_in1k',
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(in_channels=[32, 64, 128, 256]),
)
train_dataloader = dict(batch_size=2)
