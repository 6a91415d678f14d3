# DeepLabv3 with EMO-1M on CamVid: one of six families with one recipe.
#
#   lvt-dense train projects/frontier/camvid/emo_1m.py \
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
        type='lvt_dense.EMO',
        arch='1m',
        output_stride=16,
    ),
    decode_head=dict(in_channels=168),
)
