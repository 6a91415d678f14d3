# DeepLabv3 with T2T-ViT-7 on CamVid: one of six families with one recipe.
#
#   lvt-dense train projects/frontier/camvid/t2t_vit_7.py \
#       --data-root data/camvid --epochs 4
#
# Head, data, schedule and output stride are those of mobilevit_xxs.py.
_base_ = ['mobilevit_xxs.py']
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        _delete_=True,
        type='lvt_dense.T2TViT',
        arch='7',
        out_indices=(0, 1, 2),
    ),
    decode_head=dict(in_channels=256, in_index=2),
)
