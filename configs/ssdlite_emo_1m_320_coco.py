# SSDLite with EMO-1M on COCO at 320 x 320 (EMO, arXiv 2301.01146).
#
#   tools/dist_train.sh configs/ssdlite_emo_1m_320_coco.py 8
#   python tools/test.py configs/ssdlite_emo_1m_320_coco.py CHECKPOINT
#
# Expected mAP on val2017: 22.0 (official log, last epoch); not reproduced
# here. 2,311,980 parameters, 0.58 GMACs at 320 x 320. Batch size 192 (8 x 24).
# Starts from EMO's ImageNet weights and keeps their batch statistics.
_base_ = [
    './_base_/models/ssdlite.py',
    './_base_/datasets/coco_ssd_320_expand.py',
    './_base_/schedules/ssdlite_emo_120e.py',
    './_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        type='lvt_dense.EMO',
        arch='1m',
        out_indices=(2, 3),
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    neck=dict(
        in_channels=(80, 168),
        out_channels=(80, 168, 512, 256, 256, 128),
    ),
    bbox_head=dict(in_channels=(80, 168, 512, 256, 256, 128)),
)
sync_bn = None  # as in the logged run: 24 images a GPU are enough
