"""PLG-ViT: sizes and costs of the papers, and what its branches compute."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense import build_backbone
from lvt_dense.apis.zoo import macs
from lvt_dense.models.backbones import PLGViT
from lvt_dense.models.backbones.plg_vit import (
    ConvFFN,
    GlobalResponseNorm,
    PairConv,
    ParallelAttention,
    WindowAttention,
    pool_regions,
)

CLASSES = 1000
# Parameters with the classification head, and multiply-accumulates at 224.
FIGURES = {
    'tiny': (26.57e6, 4.16e9),
    'small': (52.16e6, 8.59e9),
    'base': (92.11e6, 15.13e9),
    'lw_a': (4.999e6, 1.392e9),
    'lw_r': (4.974e6, 0.706e9),
}
TAILS = {'lw_a': 288, 'lw_r': 320}  # channels of the last 3x3 convolution


@pytest.mark.parametrize('arch', FIGURES)
def test_parameters_and_cost(arch: str) -> None:
    with torch.device('meta'):
        model = build_backbone(f'plg_vit_{arch}').eval()
    last = model.out_channels[-1]
    parameters = sum(p.numel() for p in model.parameters())
    cost = macs(model, 224, 224)
    if arch in TAILS:
        parameters += 9 * last * TAILS[arch] + TAILS[arch]
        cost += 7 * 7 * 9 * last * TAILS[arch]
        last = TAILS[arch]
    parameters += last * CLASSES + CLASSES
    cost += last * CLASSES
    expected_parameters, expected_cost = FIGURES[arch]
    assert parameters == pytest.approx(expected_parameters, rel=1e-3)
    assert cost == pytest.approx(expected_cost, rel=2e-3)


def test_cost_of_the_global_branch_is_constant() -> None:
    with torch.device('meta'):
        attention = ParallelAttention(32, 1, 1, light=True)
    costs = []
    for side in (64, 512):
        with FlopCounterMode(display=False) as counter:
            attention._global(torch.empty(1, 16, side, side, device='meta'))
        costs.append(counter.get_total_flops())
    length, width = 7 * 7, 16
    attended = 2 * length**2 * width
    projected = 4 * length * width**2
    assert costs == [2 * (attended + projected)] * 2


@torch.no_grad()
def test_position_bias_depends_on_the_offset_alone() -> None:
    attention = WindowAttention(4, 1)
    bias = attention.bias_table[0, attention.bias_index].view(7, 7, 7, 7)
    assert attention.bias_index.unique().numel() == 169
    assert torch.equal(bias[1:, 1:, 1:, 1:], bias[:-1, :-1, :-1, :-1])
    assert bias[0, 0, 0, 1] != bias[0, 1, 0, 0]


@torch.no_grad()
def test_local_branch_stays_in_its_window() -> None:
    attention = ParallelAttention(32, 1, 1, light=False).eval()
    x = torch.randn(1, 16, 15, 9)  # 3 x 2 windows, padded
    changed = x.clone()
    changed[:, :, 8, 8] += 1.0
    moved = (attention._local(changed) - attention._local(x)).abs().sum((0, 1))
    inside = torch.zeros(15, 9, dtype=torch.bool)
    inside[7:14, 7:] = True
    assert torch.equal(moved > 0, inside)


@torch.no_grad()
@pytest.mark.parametrize('light', (False, True))
def test_global_branch(light: bool) -> None:
    attention = ParallelAttention(32, 1, 1, light).eval()
    x = torch.randn(1, 16, 21, 14)
    blocks = x.view(1, 16, 7, 3, 7, 2)
    pooled = blocks.amax((3, 5))
    if not light:
        pooled = pooled + blocks.mean((3, 5))
    tokens = attention.global_attn(pooled.flatten(2).transpose(1, 2))
    expected = F.interpolate(
        tokens.transpose(1, 2).reshape(1, 16, 7, 7), (21, 14), mode='bilinear'
    )
    assert torch.allclose(attention._global(x), expected, atol=1e-6)
    small = attention._global(torch.randn(1, 16, 2, 3))
    assert small.shape == (1, 16, 2, 3)


@torch.no_grad()
def test_response_norm() -> None:
    norm = GlobalResponseNorm(2)
    x = torch.tensor([[[[3.0, 4.0]], [[0.0, 1.0]]]])
    assert torch.equal(norm(x), x)  # as it is initialized
    norm.weight.fill_(1.0)
    norm.bias.fill_(0.5)
    # norms 5 and 1, their mean 3
    expected = x + 0.5 + x * torch.tensor([5 / 3, 1 / 3])[:, None, None]
    assert torch.allclose(norm(x), expected, atol=1e-5)
    half = norm(torch.full((1, 2, 64, 64), 300.0, dtype=torch.float16))
    assert half.isfinite().all()


def test_two_maps_are_convolved_as_one() -> None:
    layer = PairConv(3, 5)
    maps = torch.randn(2, 2, 3, 4, 6, requires_grad=True)
    parameters = (maps, layer.weight, layer.bias)
    out = layer(*maps)
    expected = F.conv2d(torch.cat([*maps], 1), layer.weight, layer.bias)
    torch.testing.assert_close(out, expected)
    grads = torch.autograd.grad(out.square().sum(), parameters)
    wanted = torch.autograd.grad(expected.square().sum(), parameters)
    torch.testing.assert_close(grads, wanted)
    traced = torch.jit.trace(layer, tuple(maps.detach()))
    assert 'aten::cat' in str(traced.inlined_graph)
    torch.testing.assert_close(traced(*maps), expected)


def test_feed_forward_widths() -> None:
    act = dict(type='GELU')

    def weights(light: bool, ratio: int) -> int:
        ffn = ConvFFN(16, ratio, 1, light, act)
        convs = (ffn.expand.conv, ffn.project)
        return sum(conv.weight.numel() for conv in convs)

    assert weights(False, 4) == 8 * 16**2
    assert weights(True, 3) == 9 * 16**2


def test_stochastic_depth_and_dilation() -> None:
    model = PLGViT('lw_r', output_stride=8, drop_path_rate=0.3)
    rates = [b.drop_path.drop_prob for s in model.stages for b in s[1:]]
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.3)
    dilations = [
        stage[1].ffn.depthwise.conv.dilation[0] for stage in model.stages
    ]
    assert dilations == [1, 1, 2, 4]


@pytest.mark.parametrize('size', ((7, 7), (3, 5), (8, 12), (21, 14), (50, 84)))
def test_pooling_is_adaptive_pooling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    for mode, adaptive in (
        ('max', F.adaptive_max_pool2d),
        ('mean', F.adaptive_avg_pool2d),
    ):
        pooled, expected = pool_regions(x, 7, mode), adaptive(x, 7)
        assert torch.allclose(pooled, expected)
        for given, wanted in zip(
            torch.autograd.grad((pooled * weight).sum(), x),
            torch.autograd.grad((expected * weight).sum(), x),
        ):
            assert torch.allclose(given, wanted)
