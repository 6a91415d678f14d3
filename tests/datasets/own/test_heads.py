"""Every head that counts classes is found and set."""

from lvt_dense.compat.stack import import_stack
from lvt_dense.datasets.own.heads import find_class_counts, set_num_classes


def test_lists_of_heads_and_defaults() -> None:
    import_stack()
    model = dict(
        type='CascadeRCNN',
        backbone=dict(type='ResNet', num_classes=1000),
        rpn_head=dict(type='RPNHead', num_classes=1),
        roi_head=dict(
            type='CascadeRoIHead',
            bbox_head=[
                dict(type='Shared2FCBBoxHead', num_classes=80),
                dict(type='Shared2FCBBoxHead'),  # 80 by default
            ],
            mask_head=dict(type='FCNMaskHead', num_classes=80),
        ),
    )
    found = {
        path: number for path, _, number in find_class_counts(model, 'mmdet')
    }
    heads = [
        'model.roi_head.bbox_head.0',
        'model.roi_head.bbox_head.1',
        'model.roi_head.mask_head',
    ]
    assert found == dict.fromkeys(heads, 80)
    assert set_num_classes(model, 3, 'mmdet') == heads
    found = {
        path: number for path, _, number in find_class_counts(model, 'mmdet')
    }
    assert found == dict.fromkeys(heads, 3)
    assert model['backbone']['num_classes'] == 1000
    assert model['rpn_head']['num_classes'] == 1


def test_decode_heads_with_outputs_of_their_own() -> None:
    import_stack()
    loss = dict(type='CrossEntropyLoss')
    model = dict(
        decode_head=[
            dict(type='FCNHead', num_classes=19, loss_decode=loss),
            dict(
                type='FCNHead',
                num_classes=19,
                out_channels=19,
                loss_decode=loss,
            ),
        ],
        auxiliary_head=[
            dict(
                type='FCNHead',
                num_classes=2,
                out_channels=1,
                loss_decode=dict(loss, use_sigmoid=True),
            )
        ],
    )
    set_num_classes(model, 5, 'mmseg')
    assert [h['num_classes'] for h in model['decode_head']] == [5, 5]
    assert model['decode_head'][1]['out_channels'] == 5
    assert model['auxiliary_head'][0]['num_classes'] == 5
    assert 'out_channels' not in model['auxiliary_head'][0]
