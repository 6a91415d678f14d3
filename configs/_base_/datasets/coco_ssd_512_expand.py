# COCO 2017 as in coco_ssd_320_expand.py, at 512 x 512.
_base_ = './coco_ssd_320_expand.py'
input_size = (512, 512)
train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
for steps in (train_pipeline, test_pipeline):
    for step in steps:
        if step['type'] == 'Resize':
            step['scale'] = input_size
del step, steps
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
