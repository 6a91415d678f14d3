# LW PLG-ViT-R on Tiny ImageNet's images of 64 x 64 pixels.
#
#   lvt-dense train projects/pretrain/configs/plg_vit_lw_r_64.py \
#       --data-root data/tiny_imagenet
#
# The README of this project says what came of it.
_base_ = './base_64.py'
model = dict(
    type='lvt_dense.ImageClassifier',
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_r'),
    label_smoothing=0.1,
    num_classes=64,
)
