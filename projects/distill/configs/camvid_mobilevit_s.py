# DeepLabv3 with MobileViT-S on CamVid at 180 x 240: the larger teacher.
#
#   lvt-dense train projects/distill/configs/camvid_mobilevit_s.py \
#       --data-root data/camvid
#
# Data, head and schedule are those of the student, camvid_mobilevit_xxs.py.
_base_ = ['camvid_mobilevit_xxs.py']
model = dict(backbone=dict(arch='s'), decode_head=dict(in_channels=160))
