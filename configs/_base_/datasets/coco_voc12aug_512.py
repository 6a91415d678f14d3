# VOC 2012 with the masks of SBD (train_aug, 10,582 images), and the images of
# COCO's train2017 that show VOC's classes (about 92,500): what the MobileViT
# paper's DeepLabv3 trains on.
_base_ = './voc12aug_512.py'
data_root = 'data/'  # holds VOCdevkit/VOC2012 and coco
voc = 'VOCdevkit/VOC2012/'
coco_pipeline = [*_base_.train_pipeline]
coco_pipeline[1] = dict(type='lvt_dense.LoadSegMapFromInstances')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type='PascalVOCDataset',
                data_root=data_root,
                ann_file=voc + 'ImageSets/Segmentation/train.txt',
                data_prefix=dict(
                    img_path=voc + 'JPEGImages/',
                    seg_map_path=voc + 'SegmentationClass/',
                ),
                pipeline=_base_.train_pipeline,
            ),
            dict(
                type='PascalVOCDataset',
                data_root=data_root,
                ann_file=voc + 'ImageSets/Segmentation/aug.txt',
                data_prefix=dict(
                    img_path=voc + 'JPEGImages/',
                    seg_map_path=voc + 'SegmentationClassAug/',
                ),
                pipeline=_base_.train_pipeline,
            ),
            dict(
                type='lvt_dense.COCOAsVOCDataset',
                data_root=data_root,
                ann_file='coco/annotations/instances_train2017.json',
                data_prefix=dict(img_path='coco/train2017/'),
                pipeline=coco_pipeline,
            ),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file=voc + 'ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path=voc + 'JPEGImages/',
            seg_map_path=voc + 'SegmentationClass/',
        ),
    ),
)
test_dataloader = val_dataloader
