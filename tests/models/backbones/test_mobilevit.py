"""MobileViT against figures of the official code (ml-cvnets v0.1)."""

from typing import Any

import pytest
import torch
from helpers.official import difference, figures, image, official_state
from torch import nn

from lvt_dense import build_backbone
from lvt_dense.models.backbones import MobileViT

FIGURES = figures('mobilevit')
PARAMETERS = {
    'mobilevit_xxs': 924_784,
    'mobilevit_xs': 1_895_216,
    'mobilevit_s': 4_833_952,
}


def with_official_weights(name: str) -> MobileViT:
    model = build_backbone(name).eval()
    state = official_state(FIGURES[name]['official_keys'])
    own, unknown = model.layouts[0].to_own(state)
    assert unknown == []
    keys = model.load_state_dict(own, strict=False)
    assert keys.unexpected_keys == []
    assert all(k.endswith('num_batches_tracked') for k in keys.missing_keys)
    return model


@pytest.mark.parametrize(
    ('name', 'case'),
    [(name, case) for name, f in FIGURES.items() for case in f['cases']],
    ids=lambda v: v if isinstance(v, str) else str(v['input']),
)
def test_parity(name: str, case: dict[str, Any]) -> None:
    model = with_official_weights(name)
    x = image(*case['input'])
    with torch.inference_mode():
        features = [model.stem(x), *model(x)]
    assert len(features) == len(case['levels']) == 5
    for feature, expected in zip(features, case['levels'].values()):
        assert difference(feature, expected) < 1e-4


@pytest.mark.parametrize(('name', 'count'), PARAMETERS.items())
def test_parameters(name: str, count: int) -> None:
    assert sum(p.numel() for p in build_backbone(name).parameters()) == count


def strides_and_dilations(model: nn.Module) -> list[tuple[int, int]]:
    """Of the depthwise convolution of every stage's first block."""
    convs = [stage[0].depthwise.conv for stage in model.stages]
    return [(conv.stride[0], conv.dilation[0]) for conv in convs]


@pytest.mark.parametrize(
    ('output_stride', 'expected'),
    (
        (32, [(2, 1), (2, 1), (2, 1), (2, 1)]),
        (16, [(2, 1), (2, 1), (2, 1), (1, 1)]),
        (8, [(2, 1), (2, 1), (1, 1), (1, 2)]),
    ),
)
def test_output_stride_rule(
    output_stride: int, expected: list[tuple[int, int]]
) -> None:
    model = MobileViT('xxs', output_stride=output_stride)
    assert strides_and_dilations(model) == expected
    dilations = [
        m.dilation[0] for m in model.modules() if isinstance(m, nn.Conv2d)
    ]
    # nothing but the one convolution above is ever dilated
    assert sum(d > 1 for d in dilations) == (output_stride == 8)


def test_dropout() -> None:
    def rates(model: nn.Module) -> set:
        return {m.p for m in model.modules() if isinstance(m, nn.Dropout)}

    assert rates(MobileViT('xxs')) == {0.05}
    assert rates(MobileViT('s')) == {0.1}
    assert rates(MobileViT('s', drop_rate=0.0)) == {0.0}
    x = torch.randn(1, 3, 64, 64)
    # without batch statistics, so that only dropout is left to differ
    model = MobileViT('xxs', norm_eval=True).train()
    assert not torch.equal(model(x)[1], model(x)[1])
    model = MobileViT('xxs', norm_eval=True, drop_rate=0.0).train()
    assert torch.equal(model(x)[1], model(x)[1])


def test_norm_and_activation_are_arguments() -> None:
    model = MobileViT(
        'xxs',
        norm_cfg=dict(type='GN', num_groups=2),
        act_cfg=dict(type='ReLU'),
    )
    kinds = {type(m).__name__ for m in model.modules()}
    assert {'GroupNorm', 'ReLU'} <= kinds
    assert 'BatchNorm2d' not in kinds
    assert [tuple(f.shape[2:]) for f in model(torch.randn(1, 3, 33, 47))] == [
        (9, 12),
        (5, 6),
        (3, 3),
        (2, 2),
    ]


def test_input_is_bgr_in_zero_to_one() -> None:
    assert MobileViT.input_norm == dict(
        mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=False
    )
