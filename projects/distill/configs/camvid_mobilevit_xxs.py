# DeepLabv3 with MobileViT-XXS on CamVid at 180 x 240: the student.
#
#   lvt-dense train projects/distill/configs/camvid_mobilevit_xxs.py \
#       --data-root data/camvid --teacher CONFIG CHECKPOINT
#
# The recipe of projects/frontier; results are in projects/distill/README.md.
_base_ = ['../../frontier/camvid/mobilevit_xxs.py']
