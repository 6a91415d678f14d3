# SSDLite with EMOv2-2M on COCO at 512 x 512 (EMOv2, arXiv 2412.06674).
#
#   tools/dist_train.sh configs/ssdlite_emov2_2m_512_coco.py 8
#   python tools/test.py configs/ssdlite_emov2_2m_512_coco.py CHECKPOINT
#
# Expected mAP on val2017: 30.7 (official log, last epoch); not reproduced
# here. 3,349,556 parameters, 2.90 GMACs at 512 x 512. Batch size 192 (8 x 24).
# Anchors are those of 320 x 320, as published. Starts from EMOv2's ImageNet
# weights and keeps their batch statistics.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_512_expand.py',
    './_base_/schedules/ssdlite_emov2_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMOv2',
        arch='2m',
        out_indices=(2, 3),
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(
        in_channels=(120, 200),
        out_channels=(120, 200, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(120, 200, 512, 256, 256, 128)),
)
sync_bn = None  # 24 images a GPU are enough
