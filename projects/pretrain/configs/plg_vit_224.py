# LW PLG-ViT A on ImageNet's 1,000 classes. There are no published weights of
# PLG-ViT; this is how to make some.
#
#   tools/dist_train.sh projects/pretrain/configs/plg_vit_224.py 8 \
#       --data-root data/imagenet
#
# Published top-1: 79.5 (arXiv 2307.09120), by a recipe that is not public;
# not reproduced here. Batch size 1,024 (8 x 128).
_base_ = './base_224.py'
model = dict(
    type='lvt_dense.ImageClassifier',
    backbone=dict(type='lvt_dense.PLGViT', arch='lw_a'),
    hidden_channels=288,
    label_smoothing=0.1,
    mixup=0.2,
    num_classes=1000,
)
optim_wrapper = dict(clip_grad=dict(max_norm=5.0))
