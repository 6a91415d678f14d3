# RTMDet's neck and head with EMO-1M on the people of COCO at 320 x 320,
# random start.
#
#   lvt-dense train projects/frontier/detectors/rtmdet_emo_1m.py \
#       --data-root data/coco
#
# Data and schedule are those of ssdlite_emo_1m.py.
_base_ = ['../../../configs/_base_/models/rtmdet.py', 'person_320.py']
model = dict(
    backbone=dict(type='lvt_dense.EMO', arch='1m', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[48, 80, 168]),
    bbox_head=dict(num_classes=1),
)
