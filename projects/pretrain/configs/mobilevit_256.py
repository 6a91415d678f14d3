# MobileViT-S on ImageNet's 1,000 classes as its authors train it: batches of
# 160 to 320 pixels, label smoothing, averaged weights (arXiv 2110.02178).
#
#   tools/dist_train.sh projects/pretrain/configs/mobilevit_256.py 8 \
#       --data-root data/imagenet
#
# Expected top-1: 78.4 (paper); not reproduced here. Batch size 1,024 (8 x 128
# images of 256 x 256). --backbone and hidden_channels choose another size.
_base_ = './base_224.py'
model = dict(
    type='lvt_dense.ImageClassifier',
    backbone=dict(type='lvt_dense.MobileViT', arch='s'),
    hidden_channels=640,
    dropout=0.1,
    label_smoothing=0.1,
    num_classes=1000,
)
train_pipeline = [
    dict(type='lvt_dense.LoadImageFromFile', skip_unreadable=True),
    dict(
        type='lvt_dense.DrawnSize',
        transform=dict(type='lvt_dense.RandomResizedCrop', scale=(256, 256)),
        base_size=(256, 256),
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='lvt_dense.PackClassInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (288, 100000)
test_pipeline[2].crop_size = 256
train_dataloader = dict(
    drop_last=False,  # no batch is short
    batch_sampler=dict(
        type='lvt_dense.VariableBatchSampler',
        base_size=(256, 256),
        size_range=(0.625, 1.25),
        num_scales=5,
    ),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=0.01))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 2e-4
