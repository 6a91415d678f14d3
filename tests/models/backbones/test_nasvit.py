"""NASViT against the official figures, and its dense parts one by one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.official import difference, figures, image, official_state
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense.models.backbones import NASViT, families, nasvit_attention
from lvt_dense.models.backbones.nasvit import MBConv
from lvt_dense.models.backbones.nasvit_attention import (
    JointNorm,
    TalkingHeadAttention,
    TransformerBlock,
)
from lvt_dense.models.backbones.pretrained import (
    convert_state,
    identify,
    target_of,
)

FIGURES = figures('nasvit')
ALL_LEVELS = range(5)
# Published MACs in millions (paper's repository, MathNAS), and parameters of
# the trunk in millions as counted on the official code.
PUBLISHED = {
    'min': (190, 4.09),
    'a1': (309, 4.27),
    't1': (200, 4.43),
    't2': (325, 4.68),
    't3': (671, 9.21),
    't4': (1101, 9.78),
    't5': (1476, 10.77),
    'max': (1881, 12.16),
}


@pytest.fixture(scope='module')
def supernet() -> dict[str, Tensor]:
    keys = FIGURES['official_keys']
    state = official_state(
        {k: v for k, v in keys.items() if not k.endswith('_index')}
    )
    return {
        k: torch.ones_like(v) if k in FIGURES['fixed'] else v
        for k, v in state.items()
    }


@pytest.mark.parametrize('name', FIGURES['subnets'])
def test_levels_match_the_official_code(
    name: str, supernet: dict[str, Tensor]
) -> None:
    subnet = FIGURES['subnets'][name]
    net = NASViT(subnet['subnet'], ALL_LEVELS).eval()
    assert net.settings['width'][2] == 24
    _, layout, prefix = identify(supernet, families().values())
    own, unknown = convert_state(supernet, layout, prefix, target_of(net))
    assert not unknown
    net.load_state_dict(own)
    mb5 = []
    last_of_mb5 = net.stages[3][net.settings['depth'][4] - 1]
    last_of_mb5.register_forward_hook(lambda *args: mb5.append(args[2]))
    for case in subnet['cases']:
        x = image(*case['input'])
        with torch.no_grad():
            mb2, mb3, mb4, mb6, mb7 = net(x)
            levels = [net.stem(x), mb2, mb3, mb4, mb5.pop(), mb6, mb7]
        for level, (title, expected) in zip(levels, case['levels'].items()):
            assert difference(level, expected) < 1e-4, title


@pytest.mark.parametrize('arch', PUBLISHED)
def test_published_macs_and_parameters(arch: str) -> None:
    macs, parameters = PUBLISHED[arch]
    net = NASViT(arch, ALL_LEVELS).eval()
    side = net.settings['resolution']
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        last = net(torch.zeros(1, 3, side, side))[-1]
    # The classifier: 1x1 convolution to six times the channels, pooling,
    # 1x1 convolution, linear layer to 1000 classes.
    _, channels, height, width = last.shape
    mixed = net.settings['width'][-1]
    head = 6 * channels * (channels * height * width + mixed) + 1000 * mixed
    total = counter.get_total_flops() / 2 + head
    within = 0.006 if arch == 'a1' else 0.005  # from third-party files
    assert total / 1e6 == pytest.approx(macs, rel=within)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(
        parameters, abs=0.006
    )


def naive_attention(attn: TalkingHeadAttention, x: Tensor) -> Tensor:
    """Attention of a (H, W, C) map, head by head, pixel pair by pixel pair."""
    height, width, channels = x.shape
    heads = channels // 8
    tokens = x.reshape(-1, channels)
    query, key = attn.query_key(tokens).chunk(2, -1)
    value = attn.value(tokens).reshape(height, width, -1).permute(2, 0, 1)
    value = F.conv2d(
        value[None], attn.value_conv.weight, padding=1, groups=4 * channels
    )[0]
    value = value.flatten(1).T
    table = attn.position_table.reshape(35, 35, heads)
    pixels = [(i, j) for i in range(height) for j in range(width)]
    bias = torch.stack(
        [table[17 + i - k, 17 + j - m] for i, j in pixels for k, m in pixels]
    ).reshape(len(pixels), len(pixels), heads)
    logits = bias + torch.stack(
        [
            query[:, 8 * h : 8 * h + 8] @ key[:, 8 * h : 8 * h + 8].T / 8**0.5
            for h in range(heads)
        ],
        dim=-1,
    )
    weights = attn.talk_weights(attn.talk_logits(logits).softmax(1))
    out = torch.cat(
        [
            weights[..., h] @ value[:, 32 * h : 32 * h + 32]
            for h in range(heads)
        ],
        dim=1,
    )
    return attn.proj(F.silu(out)).reshape(height, width, channels)


@pytest.fixture
def attention() -> Callable[..., TalkingHeadAttention]:
    torch.manual_seed(0)

    def make(max_side: Any = None, dilation: int = 1) -> TalkingHeadAttention:
        attn = TalkingHeadAttention(16, max_side, dilation)
        for parameter in attn.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        return attn.eval()

    return make


@torch.no_grad()
def test_attention_is_that_of_the_formulas(
    attention: Callable[..., TalkingHeadAttention],
) -> None:
    attn, x = attention(), torch.randn(2, 4, 5, 16)
    expected = torch.stack([naive_attention(attn, image) for image in x])
    torch.testing.assert_close(attn(x), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_windows_attend_apart_and_padding_takes_no_part(
    attention: Callable[..., TalkingHeadAttention],
) -> None:
    attn, x = attention(max_side=4), torch.randn(1, 7, 9, 16)
    # The convolution on the values crosses windows: without it they are
    # independent. 7 pixels make windows of 4 and 3, 9 make three of 3.
    attn.value_conv.weight.zero_()
    attn.value_conv.weight[:, :, 1, 1] = 1
    got = attn(x)
    for rows in (slice(0, 4), slice(4, 7)):
        for cols in (slice(0, 3), slice(3, 6), slice(6, 9)):
            expected = naive_attention(attn, x[0, rows, cols])
            torch.testing.assert_close(
                got[0, rows, cols], expected, atol=1e-4, rtol=1e-4
            )


@torch.no_grad()
@pytest.mark.parametrize('max_side, height', [(None, 9), (3, 10)])
def test_dilated_attention_is_that_of_interleaved_maps(
    attention: Callable[..., TalkingHeadAttention], max_side: Any, height: int
) -> None:
    attn, x = attention(max_side, dilation=2), torch.randn(1, height, 12, 16)
    got = attn(x)
    plain = TalkingHeadAttention(16, max_side, 1)
    plain.load_state_dict(attn.state_dict())
    for i in range(2):
        for j in range(2):
            torch.testing.assert_close(
                got[:, i::2, j::2], plain(x[:, i::2, j::2])
            )


@torch.no_grad()
def test_position_table_is_stretched_beyond_its_size(
    attention: Callable[..., TalkingHeadAttention],
) -> None:
    attn = attention()
    attn.talk_logits.weight.copy_(torch.eye(2))
    attn.talk_logits.bias.zero_()
    table = attn.position_table.view(35, 35, 2)
    table[:] = torch.arange(35.0)[:, None, None]  # by rows, 17 in the middle
    biases = attn.position_biases(20, 3).view(2, 39, 5)
    assert (biases == biases[:, :, :1]).all()
    assert biases[:, 19].sub(17).abs().max() < 1e-4
    # 39 offsets on 35 places: a step of one pixel is 35 / 39 of a row, up to
    # what bicubic interpolation makes of a ramp.
    assert biases[0, 20, 0].item() == pytest.approx(17.9, abs=0.05)


@torch.no_grad()
@pytest.mark.parametrize('max_side', [None, 4])
def test_groups_do_not_change_the_result(
    attention: Callable[..., TalkingHeadAttention],
    max_side: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attn, x = attention(max_side), torch.randn(2, 7, 9, 16)
    expected = attn(x)
    monkeypatch.setattr(nasvit_attention, 'GROUP_ENTRIES', 600)
    torch.testing.assert_close(attn(x), expected)


def test_joint_norm_is_over_pixels_and_channels() -> None:
    norm = JointNorm(3)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 4, 5, 3)
    for got, one in zip(norm(x), x):
        mean, var = one.mean(), one.var(correction=0)
        expected = (one - mean) / (var + 1e-5).sqrt()
        torch.testing.assert_close(got, expected * norm.weight + norm.bias)


def make_mbconv(stride: int, dilation: int = 1) -> MBConv:
    torch.manual_seed(0)
    block = MBConv(
        8, 16, 2, 3, stride, dilation, True, False, dict(type='BN'), None
    )
    return block.eval()


@torch.no_grad()
@pytest.mark.parametrize('dilation', [1, 2])
def test_block_without_its_stride_keeps_the_values(dilation: int) -> None:
    x = torch.randn(1, 8, 8, 6)
    expected = make_mbconv(stride=2)(x)
    # A map that was kept at a resolution too high, by the dilation.
    x = x.repeat_interleave(dilation, 2).repeat_interleave(dilation, 3)
    got = make_mbconv(1, dilation)(x)
    assert got.shape[2:] == x.shape[2:]
    step = 2 * dilation
    torch.testing.assert_close(got[..., ::step, ::step], expected)


@torch.no_grad()
def test_shortcut_of_an_odd_side_starts_before_the_map() -> None:
    block = make_mbconv(stride=2)
    block.project.norm.weight.zero_()
    block.shortcut.weight.zero_()
    block.shortcut.weight[0, 0] = 1
    x = torch.zeros(1, 8, 3, 4)
    x[0, 0] = torch.tensor([[4.0, 8, 0, 0], [4, 0, 8, 8], [0, 0, 8, 8]])
    expected = torch.tensor([[3.0, 0], [1, 8]])
    torch.testing.assert_close(block(x)[0, 0], expected)


def test_blocks_start_as_their_shortcuts() -> None:
    net = NASViT('min')
    net.init_weights()
    x = torch.randn(1, 16, 12, 12)
    assert torch.equal(net.stem[1](x), x)
    block = net.stages[2][1]
    assert isinstance(block, TransformerBlock)
    x = torch.randn(1, 64, 12, 12)
    assert 0 < (block(x) - x).abs().max() < 1e-4


@torch.no_grad()
def test_windows_leave_maps_of_the_published_sizes_whole() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 288, 288)
    net = NASViT('min').eval()
    whole = NASViT('min', window_size=None).eval()
    whole.load_state_dict(net.state_dict())
    for got, expected in zip(net(x), whole(x)):
        assert torch.equal(got, expected)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(window_size=0), 'window_size=0'),
        (dict(window_size=(18, None)), 'stride 16, 32 and 64'),
        (dict(depth=(1, 2, 3)), 'depth=.* has 3 entries; give 7'),
        (dict(width=(16, 16, 24, 32, 60, 112, 160, 208, 8)), '60.*of 8'),
    ],
)
def test_wrong_arguments_are_named(
    kwargs: dict[str, Any], message: str
) -> None:
    settings = NASViT.arch_settings['min']
    subnet = {k: kwargs.pop(k, v) for k, v in settings.items()}
    with pytest.raises(ValueError, match=message):
        NASViT(subnet, **kwargs)
