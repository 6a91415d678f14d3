"""EMO against figures of the official code, and its own arguments."""

from typing import Any

import pytest
import torch
from helpers.official import difference, figures, image, official_state
from torch import Tensor, nn

from lvt_dense import build_backbone
from lvt_dense.models.backbones import EMO
from lvt_dense.models.backbones.emo import InvertedResidualMobileBlock

FIGURES = figures('emo')
PARAMETERS = {
    'emo_1m': 1_191_832,
    'emo_2m': 2_176_072,
    'emo_5m': 4_819_272,
    'emo_6m': 5_846_856,
}


@pytest.mark.parametrize(
    ('name', 'case'),
    [(name, case) for name, f in FIGURES.items() for case in f['cases']],
    ids=lambda v: v if isinstance(v, str) else str(v['input']),
)
def test_parity(name: str, case: dict[str, Any]) -> None:
    model = build_backbone(name, window_size=FIGURES[name]['window_size'])
    state = official_state(FIGURES[name]['official_keys'])
    own, unknown = model.layouts[0].to_own(state)
    assert unknown == []
    keys = model.load_state_dict(own, strict=False)
    assert keys.unexpected_keys == []
    assert all(k.endswith('num_batches_tracked') for k in keys.missing_keys)
    with torch.inference_mode():
        levels = model.eval()(image(*case['input']))
    assert len(levels) == len(case['levels']) == 4
    for level, expected in zip(levels, case['levels'].values()):
        assert difference(level, expected) < 1e-4


@pytest.mark.parametrize(('name', 'count'), PARAMETERS.items())
def test_parameters(name: str, count: int) -> None:
    assert sum(p.numel() for p in build_backbone(name).parameters()) == count


def attention_block(window_size: int) -> InvertedResidualMobileBlock:
    torch.manual_seed(0)
    norm = dict(type='lvt_dense.LN2d')
    act = dict(type='SiLU')
    block = InvertedResidualMobileBlock(
        in_channels=8,
        out_channels=8,
        expand_ratio=2.0,
        kernel_size=3,
        stride=1,
        dilation=1,
        head_dim=4,
        window_size=window_size,
        is_residual=True,
        drop_path_rate=0.0,
        norm_cfg=dict(type='BN'),
        input_norm_cfg=norm,
        act_cfg=act,
        expand_act_cfg=act,
    )
    return block.eval()


def attended(block: InvertedResidualMobileBlock, pixels: Tensor) -> Tensor:
    """Plain attention over (L, C) pixels, head by head."""
    weight, bias = block.query_key.weight[..., 0, 0], block.query_key.bias
    query, key = (pixels @ weight.T + bias).chunk(2, dim=1)
    heads = []
    for i in range(0, pixels.shape[1], block.head_dim):
        part = slice(i, i + block.head_dim)
        logits = query[:, part] @ key[:, part].T / block.head_dim**0.5
        heads.append(logits.softmax(1) @ pixels[:, part])
    return torch.cat(heads, dim=1)


@torch.no_grad()
def test_windows_are_strided_grids_and_padding_takes_part() -> None:
    block = attention_block(window_size=3)
    x = torch.randn(1, 8, 5, 7)  # padded to 6 x 9: steps of 2 and 3
    out = block._attend(x)
    padded = torch.zeros(8, 6, 9)
    padded[:, :5, :7] = x[0]
    for row in range(2):
        for column in range(3):
            grid = padded[:, row::2, column::3]
            expected = attended(block, grid.flatten(1).T).T.view_as(grid)
            found = out[0, :, row::2, column::3]
            expected = expected[:, : found.shape[1], : found.shape[2]]
            assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_window_below_one_is_global() -> None:
    block = attention_block(window_size=0)
    x = torch.randn(1, 8, 5, 7)
    expected = attended(block, x[0].flatten(1).T).T.view_as(x)
    assert torch.allclose(block._attend(x), expected, atol=1e-5)


def test_arguments_by_stage() -> None:
    model = EMO(
        '1m',
        window_size=(7, 7, 8, 0),
        act_cfg=dict(type='ReLU'),
        norm_cfg=dict(type='SyncBN', eps=1e-3),
        stage_act_cfgs=[dict(type='ReLU')] * 4,
    )
    sizes = [stage[-1].window_size for stage in model.stages]
    assert sizes == [7, 7, 8, 0]
    kinds = {type(m).__name__ for m in model.modules()}
    assert {'SyncBatchNorm', 'LayerNorm2d', 'ReLU'} <= kinds
    assert not {'BatchNorm2d', 'SiLU', 'GELU'} & kinds
    assert model.stages[0][0].norm.eps == 1e-3
    only_batch_norm = EMO('1m', stage_norm_cfgs=[dict(type='BN')] * 4)
    kinds = {type(m).__name__ for m in only_batch_norm.modules()}
    assert 'LayerNorm2d' not in kinds
    with pytest.raises(ValueError, match='window_size has 2 entries'):
        EMO('1m', window_size=(7, 7))


def test_published_details() -> None:
    model = EMO('5m')
    norms = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm))
    ]
    assert {norm.eps for norm in norms} == {1e-6}
    rates = [b.drop_path.drop_prob for s in model.stages for b in s]
    assert len(rates) == 18
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.05)
    assert rates[9] == pytest.approx(0.05 * 9 / 17)
    deeper = EMO('1m', drop_path_rate=0.2)
    assert deeper.stages[-1][-1].drop_path.drop_prob == 0.2


def test_dilation_follows_the_dropped_strides() -> None:
    model = EMO('1m', output_stride=8)
    found = [
        [
            (b.depthwise.conv.stride[0], b.depthwise.conv.dilation[0])
            for b in stage[:2]
        ]
        for stage in model.stages
    ]
    assert found == [
        [(2, 1), (1, 1)],
        [(2, 1), (1, 1)],
        [(1, 1), (1, 2)],
        [(1, 2), (1, 4)],
    ]


@torch.no_grad()
def test_dilated_block_sees_the_same_neighbors() -> None:
    """At the pixels that the stride would keep, a dilated block agrees."""
    strided, dense = EMO('1m').eval(), EMO('1m', output_stride=16).eval()
    dense.load_state_dict(strided.state_dict())
    x = torch.randn(1, 3, 64, 64)
    x = strided(x)[2]
    expected = strided.stages[3][0](x)
    assert torch.allclose(
        dense.stages[3][0](x)[:, :, ::2, ::2], expected, atol=1e-5
    )
