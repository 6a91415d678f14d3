# DeepLabv3 with NASViT-T2 on Cityscapes, crops of 512 x 1024.
#
#   tools/dist_train.sh configs/deeplabv3_nasvit_512x1024_cityscapes.py 4
#   python tools/test.py configs/deeplabv3_nasvit_512x1024_cityscapes.py \
#       CHECKPOINT
#
# The NASViT paper has 73.2 mIoU on val for 5 GMACs (Gong et al., ICLR 2022);
# not reproduced here. Batch size 16 (4 x 4). 3,099,261 parameters; 4.12 GMACs
# at 512 x 1024. The paper's decoder is not public: this one, the sub-network
# and the windows are our choice. Images are halved to 1024 x 512, in training
# before they are scaled by 0.5 to 2, so that testing keeps within the same
# budget. Starts from NASViT's ImageNet weights.
_base_ = [
    './_base_/models/deeplabv3_light.py',
    './_base_/datasets/cityscapes_512x1024.py',
    './_base_/schedules/seg_adamw_80k.py',
    './_base_/seg_runtime.py',
]
model = dict(
    data_preprocessor=dict(
        size=(512, 1024),
    ),
    backbone=dict(
        type='lvt_dense.NASViT',
        arch='t2',
        window_size=16,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    ),
    decode_head=dict(
        in_channels=176, channels=128, dilations=(3, 6, 9), num_classes=19
    ),
)
image_scale = (1024, 512)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = image_scale
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = image_scale
tta_pipeline = _base_.tta_pipeline
for resize, share in zip(
    tta_pipeline[1].transforms[0], (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
):
    resize.scale = (int(1024 * share), int(512 * share))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=6e-5))
auto_scale_lr = dict(base_batch_size=16)
