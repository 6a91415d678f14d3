# EMOv2-1M on Tiny ImageNet's images of 64 x 64 pixels.
#
#   lvt-dense train projects/pretrain/configs/emov2_1m_64.py \
#       --data-root data/tiny_imagenet
#
# The README of this project says what came of it.
_base_ = './base_64.py'
model = dict(
    type='lvt_dense.ImageClassifier',
    backbone=dict(type='lvt_dense.EMOv2', arch='1m', layer_scale=1.0),
    label_smoothing=0.1,
    num_classes=64,
)
