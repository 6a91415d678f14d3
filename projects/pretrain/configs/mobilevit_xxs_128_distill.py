# MobileViT-XXS that also learns from the features of MobileViT-S with its
# published weights, on small images.
#
#   lvt-dense train projects/pretrain/configs/mobilevit_xxs_128_distill.py \
#       --data-root data/crops
#
# Any checkpoint of ours can be the teacher:
#   --cfg-options model.distillation.checkpoint=FILE
_base_ = './mobilevit_xxs_128.py'
model = dict(
    distillation=dict(
        backbone=dict(type='lvt_dense.MobileViT', arch='s'),
        checkpoint='official',
        match='features',
        weight=1.0,
    )
)
