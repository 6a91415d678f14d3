# DeepLabv3 with MobileViT-XS on CamVid at 180 x 240: the teacher.
#
#   lvt-dense train projects/distill/configs/camvid_mobilevit_xs.py \
#       --data-root data/camvid
#
# Data, head and schedule are those of the student, camvid_mobilevit_xxs.py.
_base_ = ['camvid_mobilevit_xxs.py']
model = dict(backbone=dict(arch='xs'), decode_head=dict(in_channels=96))
