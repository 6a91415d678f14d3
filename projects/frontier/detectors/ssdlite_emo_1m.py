# SSDLite with EMO-1M on the people of COCO at 320 x 320, random start.
#
#   lvt-dense train projects/frontier/detectors/ssdlite_emo_1m.py \
#       --data-root data/coco
#
# Data and schedule are those of rtmdet_emo_1m.py.
_base_ = ['../../../configs/_base_/models/ssdlite.py', 'person_320.py']
model = dict(
    backbone=dict(type='lvt_dense.EMO', arch='1m', out_indices=(2, 3)),
    neck=dict(
        in_channels=(80, 168),
        out_channels=(80, 168, 512, 256, 256, 128),
    ),
    bbox_head=dict(
        num_classes=1,
        in_channels=(80, 168, 512, 256, 256, 128),
    ),
)
