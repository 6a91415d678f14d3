"""EMOv2 against figures of the official code, and its own arguments."""

from typing import Any

import pytest
import torch
from helpers.official import difference, figures, image, official_state
from torch import Tensor
from torch.nn import functional as F

from lvt_dense import build_backbone
from lvt_dense.models.backbones import EMO, EMOv2, families
from lvt_dense.models.backbones.emov2 import SpanningMobileBlock
from lvt_dense.models.backbones.emov2_attention import SpanningAttention
from lvt_dense.models.backbones.pretrained import identify

FIGURES = figures('emov2')
PARAMETERS = {
    'emov2_1m': 1_279_484,
    'emov2_2m': 2_182_912,
    'emov2_5m': 4_836_864,
    'emov2_20m': 19_745_312,
    'emov2_50m': 49_301_536,
}
OFFICIAL = {name: f['official_keys'] for name, f in FIGURES.items()}


@pytest.mark.parametrize(
    ('name', 'case'),
    [(name, case) for name, f in FIGURES.items() for case in f['cases']],
    ids=lambda v: v if isinstance(v, str) else str(v['input']),
)
def test_parity(name: str, case: dict[str, Any]) -> None:
    model = build_backbone(name, window_size=case['window_size'])
    own, unknown = model.layouts[0].to_own(official_state(OFFICIAL[name]))
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
    with torch.device('meta'):
        model = build_backbone(name)
    assert sum(p.numel() for p in model.parameters()) == count


def test_files_are_told_from_those_of_emo() -> None:
    keys = OFFICIAL['emov2_1m']
    classifier = [*keys, 'norm.norm.weight', 'head.weight', 'head.bias']
    family, layout, prefix = identify(classifier, families().values())
    assert (family, layout.name, prefix) == (EMOv2, 'official', '')
    wrapped = [f'backbone.{key}' for key in keys]
    assert identify(wrapped, families().values())[0] is EMOv2
    first = figures('emo')['emo_1m']['official_keys']
    assert identify(first, families().values())[0] is EMO


# ---------------------------------------------------------------- attention
def plain_attention(
    query: Tensor, key: Tensor, value: Tensor, side: int, heads: int
) -> Tensor:
    """Attention pixel by pixel over maps, (C, H, W), of full windows."""
    _, height, width = query.shape
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing='ij'
    )
    steps = height // side, width // side
    out = torch.zeros_like(value)
    for window in (
        rows // side * 100 + columns // side,  # near
        rows % steps[0] * 100 + columns % steps[1],  # remote
    ):
        for number in window.unique():
            inside = window == number
            parts = (x[:, inside].T for x in (query, key, value))
            q, k, v = (x.unflatten(1, (heads, -1)) for x in parts)
            logits = torch.einsum('ihc,jhc->hij', q, k) / q.shape[2] ** 0.5
            attended = torch.einsum('hij,jhc->ihc', logits.softmax(2), v)
            out[:, inside] += attended.flatten(1).T
    return out


@pytest.mark.parametrize(
    'size', ((3, 3), (6, 9), (5, 7), (2, 8), (4, 4), (7, 3)), ids=str
)
@torch.no_grad()
def test_padding_takes_part_whether_computed_or_not(
    size: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    side, heads = 3, 2
    pixel = [torch.randn(1, c, 1, 1) for c in (4, 4, 6)]
    maps = [torch.randn(2, c, *size) for c in (4, 4, 6)]
    attention = SpanningAttention(size, side, heads)
    below, right = (-n % side for n in size)

    def filled(x: Tensor, below: int, right: int, fill: Tensor) -> Tensor:
        inside = F.pad(torch.ones(x.shape[2:]), (0, right, 0, below))
        return torch.where(inside.bool(), F.pad(x, (0, right, 0, below)), fill)

    found = attention.attend(
        *(
            filled(x, *(p - n for p, n in zip(attention.padded, size)), fill)
            for x, fill in zip(maps, pixel)
        ),
        (pixel[1], pixel[2]) if attention.leaves_out else None,
    )
    for image_maps, out in zip(zip(*maps), found):
        expected = plain_attention(
            *(
                filled(x[None], below, right, fill)[0]
                for x, fill in zip(image_maps, pixel)
            ),
            side,
            heads,
        )
        assert torch.allclose(
            out, expected[:, : size[0], : size[1]], atol=1e-5
        )


def test_only_little_of_the_padding_is_computed() -> None:
    attention = SpanningAttention((32, 32), 10, 1)
    assert attention.padded == (32, 32)  # not 40 x 40
    assert attention.remote_sides == (8, 8)
    assert attention.leaves_out
    assert SpanningAttention((25, 42), 10, 1).padded == (27, 45)
    assert not SpanningAttention((20, 30), 10, 1).leaves_out
    assert not SpanningAttention((5, 7), 0, 1).leaves_out


@torch.no_grad()
def test_one_window_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [torch.randn(1, 4, 5, 7) for _ in range(3)]
    both = SpanningAttention((5, 7), 0, 2)
    expected = both.attend(*maps)
    both.is_one = False
    assert torch.allclose(both.attend(*maps), expected, atol=1e-6)
    for side in (0, 7, 10):
        assert SpanningAttention((5, 7), side, 2).is_one
    assert not SpanningAttention((5, 7), 6, 2).is_one


# ---------------------------------------------------------------- arguments
def test_published_details() -> None:
    model = EMOv2('5m')
    assert model.window_sizes == (10,) * 4  # as for dense tasks
    blocks = [block for stage in model.stages for block in stage]
    assert {b.depthwise.conv.kernel_size for b in blocks} == {(5, 5)}
    assert {type(b) for b in blocks} == {SpanningMobileBlock}
    rates = [b.drop_path.drop_prob for b in blocks]
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.05)
    attending = [b.head_dim is not None for b in blocks]
    assert attending == [False] * 7 + [True] * 8 + [False] + [True] * 2
    kinds = {type(m).__name__ for m in model.stem.modules()}
    assert 'SqueezeExcite' not in kinds


def test_random_levels_are_not_silent() -> None:
    torch.manual_seed(0)
    model = EMOv2('1m')
    model.init_weights()
    levels = model.train()(torch.randn(2, 3, 96, 96))
    assert all(0.005 < level.std() < 1.0 for level in levels)


def test_layer_scale() -> None:
    model = EMOv2('1m', layer_scale=0.25)
    scales = [b.layer_scale for stage in model.stages for b in stage]
    assert all(scale.eq(0.25).all() for scale in scales)
    block = model.stages[0][0].eval()
    x = torch.randn(1, 16, 6, 6)
    with torch.no_grad():
        expected = 4 * block(x)
        block.layer_scale.fill_(1.0)
        assert torch.allclose(block(x), expected, rtol=1e-4, atol=1e-6)
