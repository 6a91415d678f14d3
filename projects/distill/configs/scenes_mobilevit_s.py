# SSDLite with MobileViT-S at 192 x 192 on rendered road scenes: the teacher.
#
#   lvt-dense train projects/distill/configs/scenes_mobilevit_s.py \
#       --data-root data/demo
#
# The student is configs/ssdlite_mobilevit_xxs_192_demo.py.
_base_ = ['../../../configs/ssdlite_mobilevit_xxs_192_demo.py']
model = dict(
    backbone=dict(arch='s'),
    neck=dict(in_channels=(128, 160)),
    bbox_head=dict(in_channels=(128, 160, 256, 128, 128, 64)),
)
