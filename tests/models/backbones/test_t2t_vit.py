"""T2T-ViT against the official figures, and its dense parts one by one."""

import copy
import math
from typing import Any

import pytest
import torch
from helpers.official import difference, figures, image, official_state
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense.models.backbones import (
    PlainT2TViT,
    T2TViT,
    build_backbone,
    families,
)
from lvt_dense.models.backbones.pretrained import convert_state, identify
from lvt_dense.models.backbones.t2t_blocks import (
    DenseBlock,
    GhostAttention,
    GhostFeedForward,
    SqueezeExciteTokens,
    TokenMapAttention,
)
from lvt_dense.models.backbones.t2t_tokens import (
    SoftSplit,
    TokenAttention,
    TokenPerformer,
    TokenTransformer,
    kernel_attention,
)

FIGURES = figures('t2t')
# Of the official classifiers at 224 pixels: millions of tensor elements (the
# fixed ones included), billions of multiply-accumulates.
OFFICIAL_SIZES = {
    '7': (4.310, 1.147),
    '10': (5.889, 1.516),
    '12': (6.942, 1.763),
    '14': (21.546, 4.783),
    '19': (39.177, 8.480),
    '24': (64.106, 13.662),
    't_14': (21.541, 6.089),
    't_19': (39.173, 9.785),
    't_24': (64.101, 14.967),
    '14_resnext': (21.546, 4.783),
    '14_wide': (25.156, 5.229),
    'dense': (23.647, 5.276),
    '14_se': (21.804, 4.784),
    '16_ghost': (16.253, 3.802),
}
TINY = dict(
    tokens='performer',
    channels=32,
    depths=(1, 1, 2, 1),
    heads=2,
    mlp_ratio=2,
    block='plain',
)


def tiny(cls: type[T2TViT] = T2TViT, **kwargs: Any) -> T2TViT:
    arch = {key: kwargs.pop(key, value) for key, value in TINY.items()}
    torch.manual_seed(0)
    return cls(arch, **kwargs).eval()


def maps(model: nn.Module, *size: int, batch: int = 1) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 3, *size, generator=generator)
    with torch.no_grad():
        return model(x)


# ------------------------------------------------------- the official code
@pytest.mark.parametrize('name', FIGURES)
def test_levels_match_the_official_code(name: str) -> None:
    keys, fixed = FIGURES[name]['official_keys'], FIGURES[name]['fixed']
    state = official_state({k: v for k, v in keys.items() if k not in fixed})
    _, layout, prefix = identify(state, families().values())
    own, unknown = convert_state(state, layout, prefix)
    assert not unknown
    model = build_backbone(name).eval()
    model.load_state_dict(model.adapt_state(own))
    for case in FIGURES[name]['cases']:
        with torch.no_grad():
            levels = model(image(*case['input']))
        for level, expected in zip(levels, case['levels'].values()):
            assert difference(level, expected) < 1e-5
        pooled = F.adaptive_max_pool2d(levels[2], (7, 7))
        assert torch.equal(levels[3], pooled)


@pytest.mark.parametrize('arch', OFFICIAL_SIZES)
def test_parameters_and_macs_are_the_official_ones(arch: str) -> None:
    millions, billions = OFFICIAL_SIZES[arch]
    with torch.device('meta'):
        model = T2TViT(arch, out_indices=(2,)).eval()
        x = torch.empty(1, 3, 224, 224)
    classifier = model.out_channels[0] * 1000
    elements = sum(t.numel() for t in model.state_dict().values())
    assert (elements + classifier + 1000) / 1e6 == pytest.approx(
        millions, abs=0.0006
    )
    counter = FlopCounterMode(display=False)
    # The counter knows plain attention, not all of the fused ones.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(x)
    macs = counter.get_total_flops() / 2 + classifier
    assert macs / 1e9 == pytest.approx(billions, rel=0.002)


def test_fixed_tensors_are_saved_and_not_trained() -> None:
    model = tiny()
    trained = dict(model.named_parameters())
    fixed = {'stages.0.w', 'stages.1.w', 'stages.2.pos_embed'}
    assert set(model.state_dict()) - set(trained) == fixed
    assert 'stages.2.cls_token' in trained


# ------------------------------------------------------------- soft splits
@pytest.mark.parametrize(
    ('split', 'channels'), [(SoftSplit(7, 4, 2), 3), (SoftSplit(3, 2, 1), 8)]
)
@pytest.mark.parametrize('bias', [True, False])
def test_soft_split_is_unfold_norm_and_linear(
    split: Any, channels: int, bias: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, channels, 32, 48, requires_grad=True)
    size = channels * split.kernel**2
    norm, linear = nn.LayerNorm(size), nn.Linear(size, 10, bias=bias)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    patches = F.unfold(
        x, split.kernel, padding=split.padding, stride=split.stride
    )
    expected = linear(norm(patches.transpose(1, 2)))
    expected = expected.transpose(1, 2)
    tokens = split.norm_project(x, norm, linear)
    assert tokens.shape[2:] == (32 // split.stride, 48 // split.stride)
    assert torch.allclose(tokens.flatten(2), expected, atol=1e-5)
    direction = torch.randn_like(expected)
    inputs = (x, norm.weight, norm.bias, linear.weight)
    for given, wanted in zip(
        torch.autograd.grad((tokens.flatten(2) * direction).sum(), inputs),
        torch.autograd.grad((expected * direction).sum(), inputs),
    ):
        assert torch.allclose(given, wanted, atol=1e-4, rtol=1e-4)


def test_soft_split_of_one_color_is_the_shift_alone() -> None:
    """Here the deviation is 0, and rounding errors are scaled up most."""
    torch.manual_seed(0)
    norm, linear = nn.LayerNorm(147), nn.Linear(147, 16)
    nn.init.normal_(norm.bias)
    white = torch.full((1, 3, 32, 32), 2.64)
    with torch.autocast('cpu', torch.bfloat16):
        tokens = SoftSplit(7, 4, 2).norm_project(white, norm, linear)
    assert tokens.dtype == torch.float32
    inner = tokens[0, :, 1:-1, 1:-1]
    shift = linear(norm.bias).detach()[:, None, None]
    assert (inner - shift).abs().max() < 1e-3


# --------------------------------------------------------- token attention
def plain_kernel_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    features: Tensor,
    eps: float = 1e-8,
) -> Tensor:
    """The paper's formula in double precision."""
    query, key, value, features = (
        x.double() for x in (query, key, value, features)
    )

    def phi(x: Tensor) -> Tensor:
        norm = x.square().sum(-1, keepdim=True) / 2
        return torch.exp(x @ features.T - norm) / len(features) ** 0.5

    weights = phi(query) @ phi(key).transpose(1, 2)
    return weights @ value / (weights.sum(-1, keepdim=True) + eps)


@pytest.mark.parametrize('scale', [0.1, 1.0, 2.2, 6.0])
def test_performer_follows_the_formula(scale: float) -> None:
    """From dense attention to tokens that no key is near to."""
    torch.manual_seed(0)
    query, key = (scale * torch.randn(2, 50, 8) for _ in range(2))
    value = torch.randn(2, 50, 6)
    features = torch.randn(4, 8)
    expected = plain_kernel_attention(query, key, value, features)
    inputs = [x.requires_grad_() for x in (query, key, value)]
    out = kernel_attention(*inputs, features)
    assert torch.allclose(out.double(), expected, atol=1e-5)
    expected = plain_kernel_attention(*inputs, features)
    for given, wanted in zip(
        torch.autograd.grad(out.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
    ):
        largest = max(1.0, float(wanted.abs().max()))
        assert (given - wanted).abs().max() < 1e-4 * largest


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('scale', [1.0, 50.0, 1000.0])
def test_performer_is_finite_at_large_activations(
    dtype: torch.dtype, scale: float
) -> None:
    torch.manual_seed(0)
    layer = TokenPerformer(8, SoftSplit(3, 2, 1))
    with torch.no_grad():
        layer.kqv.weight.mul_(scale)
    x = torch.randn(2, 8, 16, 16, requires_grad=True)
    with torch.autocast('cpu', dtype):
        out = layer(x * scale)
        out.square().mean().backward()
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    tensors = [x, *layer.parameters()]
    assert all(t.grad.isfinite().all() for t in tensors)
    assert x.grad.any()


def test_token_attention_adds_the_values() -> None:
    layer = TokenAttention(27)
    qkv = torch.randn(2, 9, 3 * 64)
    query, key, value = qkv.split(64, -1)
    weights = (query @ key.transpose(1, 2) / math.sqrt(27)).softmax(-1)
    expected = value + layer.proj(weights @ value)
    assert torch.allclose(layer(qkv), expected, atol=1e-5)


def test_token_windows_are_images_of_their_own() -> None:
    layer = TokenTransformer(2, SoftSplit(1, 1, 0), window=4).eval()
    whole = TokenTransformer(2, SoftSplit(1, 1, 0), window=None).eval()
    whole.load_state_dict(layer.state_dict())
    x = torch.randn(1, 2, 4, 8)
    halves = [whole(half) for half in x.split(4, -1)]
    assert torch.allclose(layer(x), torch.cat(halves, -1), atol=1e-5)
    assert not torch.allclose(layer(x), whole(x), atol=1e-3)


# ------------------------------------------------------------------ blocks
def test_class_token_goes_with_every_window() -> None:
    attention = TokenMapAttention(8, 2, window=2)
    x = torch.randn(1, 1 + 2 * 4, 8)
    out = attention(x, (2, 4))
    attention.window = None
    grid = x[:, 1:].view(1, 2, 4, 8)
    alone = [
        attention(torch.cat((x[:, :1], part.flatten(1, 2)), 1), (2, 2))
        for part in (grid[:, :, :2], grid[:, :, 2:])
    ]
    cls = (alone[0][:, :1] + alone[1][:, :1]) / 2
    merged = [part[:, 1:].view(1, 2, 2, 8) for part in alone]
    tokens = torch.cat(merged, 2).flatten(1, 2)
    assert torch.allclose(out, torch.cat((cls, tokens), 1), atol=1e-6)


def test_squeeze_excite_gates_by_the_mean_of_all_tokens() -> None:
    layer = SqueezeExciteTokens(32)
    x = torch.randn(1, 5, 32)
    first, second = layer.fc[0].weight, layer.fc[2].weight
    gate = torch.sigmoid(second @ torch.relu(first @ x[0].mean(0)))
    assert first.shape == (2, 32)
    assert torch.allclose(layer(x), x * gate)


def test_ghost_channels_are_scaled_copies() -> None:
    attention, mlp = GhostAttention(8, 2), GhostFeedForward(8)
    qkv = attention.project_qkv(torch.randn(1, 5, 8))
    for part, name in zip(qkv.split(8, -1), 'qkv'):
        scale = getattr(attention, f'cheap_operation_{name}').weight
        real, copies = part.split(4, -1)
        assert torch.allclose(copies, real * scale.view(4))
    x = torch.randn(1, 5, 8)
    hidden = F.gelu(mlp.fc1(x))
    ghosts = [
        F.gelu(hidden * layer.weight.view(8))
        for layer in (mlp.cheap_operation2, mlp.cheap_operation3)
    ]
    expected = mlp.fc2(torch.cat([hidden, *ghosts], -1))
    assert torch.allclose(mlp(x), expected, atol=1e-6)


def test_dense_block_appends() -> None:
    x = torch.randn(1, 5, 16)
    out = DenseBlock(16, 2, 2, growth=6)(x, (2, 2))
    assert out.shape == (1, 5, 22)
    assert torch.equal(out[..., :16], x)


# ------------------------------------------------------------- the pyramid
def test_position_table() -> None:
    """Sines and cosines by hand, and untouched on the grid it is made for."""
    trunk = tiny(pretrain_size=48).stages[2]
    assert trunk.pos_embed.shape == (1, 10, 32)
    for place, channel in ((0, 0), (3, 4), (9, 31)):
        angle = place / 10000 ** (channel // 2 * 2 / 32)
        wave = math.cos(angle) if channel % 2 else math.sin(angle)
        value = float(trunk.pos_embed[0, place, channel])
        assert value == pytest.approx(wave, abs=1e-6)
    with torch.no_grad():
        trunk.project.weight.zero_()
        trunk.project.bias.zero_()
        trunk.cls_token.zero_()
        tokens, grid = trunk.embed(torch.zeros(1, 64, 6, 6))
        assert tuple(grid) == (3, 3)
        assert torch.allclose(tokens, trunk.pos_embed, atol=1e-6)
        tokens, grid = trunk.embed(torch.zeros(1, 64, 6, 12))
    assert tuple(grid) == (3, 6)
    # Bicubic: a column between two lies near their mean.
    rows = tokens[0, 1:].view(3, 6, 32)
    table = trunk.pos_embed[0, 1:].view(3, 3, 32)
    middle = rows[:, 2:4].mean(1)
    assert torch.allclose(middle, table[:, 1], atol=0.1)


def test_padding_does_not_show() -> None:
    """A small image, and the same with its padding already there."""
    model = tiny()
    x = torch.randn(1, 3, 41, 50)
    padded = F.pad(x, (0, 14, 0, 7))
    with torch.no_grad():
        levels, whole = model(x), model(padded)
    for level, other in zip(levels[:3], whole):
        height, width = level.shape[2:]
        assert torch.allclose(level, other[..., :height, :width], atol=1e-5)


def test_plain_maps_are_those_of_the_groups() -> None:
    model, native = tiny(PlainT2TViT), tiny()
    native.load_state_dict(model.state_dict())
    assert model.out_strides == (16,) * 4
    assert model.out_channels == (32,) * 4
    levels = maps(model, 48, 65)
    assert all(level.shape == (1, 32, 3, 5) for level in levels)
    assert torch.allclose(levels[3], maps(native, 48, 65)[2], atol=1e-6)
    # Only the last map is normed: the others go on in the blocks.
    means = [level.mean(1).abs().max() for level in levels]
    assert means[3] < 1e-5 < min(means[:3])


def test_plain_maps_of_the_dense_variant() -> None:
    model = PlainT2TViT('dense')
    assert model.out_channels == (320, 544, 656, 584)
    shapes = [level.shape[1] for level in maps(model.eval(), 32, 32)]
    assert shapes == [320, 544, 656, 584]


@pytest.mark.parametrize('indices', [(0,), (0, 1), (1, 2)])
def test_plain_maps_build_no_more_than_it_needs(
    indices: tuple[int, ...],
) -> None:
    model = tiny(PlainT2TViT, out_indices=indices)
    assert len(model.stages[2].blocks) == (1, 2, 4)[indices[-1]]
    assert not any('norm.' in key for key in model.stages[2].state_dict())
    levels = model(torch.randn(1, 3, 32, 48))
    sum((level * torch.randn_like(level)).sum() for level in levels).backward()
    assert all(p.grad.any() for p in model.parameters())


def test_frozen_stages_are_the_same_in_both_classes() -> None:
    model = tiny(PlainT2TViT, out_indices=(0,), frozen_stages=2)
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        n
        for n, _ in model.named_parameters()
        if n.startswith(('stages.0.', 'stages.1.'))
    }
    with pytest.raises(ValueError, match='frozen_stages=4.*to 3'):
        tiny(PlainT2TViT, out_indices=(0,), frozen_stages=4)


def test_output_strides() -> None:
    """At 16 nothing is pooled; at 8 tokens lie twice as dense."""
    full, coarse, fine = (tiny(output_stride=s) for s in (32, 16, 8))
    levels = maps(full, 64, 96)
    kept = maps(coarse, 64, 96)
    assert torch.equal(kept[3], kept[2])
    assert torch.allclose(kept[2], levels[2])
    dense = fine.stages[2].embed(maps(fine, 64, 96)[1])[0]
    sparse = full.stages[2].embed(levels[1])[0]
    cls_dense, cls_sparse = dense[:, 0], sparse[:, 0]
    assert torch.equal(cls_dense, cls_sparse)
    assert dense.shape[1] == 1 + 8 * 12
    assert tiny(PlainT2TViT, output_stride=8).out_strides == (8,) * 4


def test_every_second_token_of_the_fine_grid_is_one_of_the_coarse() -> None:
    fine, full = tiny(output_stride=8).stages[2], tiny().stages[2]
    for trunk in (fine, full):
        trunk.pos_embed.zero_()
    x = torch.randn(1, 64, 8, 12)
    dense = fine.embed(x)[0][:, 1:].unflatten(1, (8, 12))
    sparse = full.embed(x)[0][:, 1:].unflatten(1, (4, 6))
    assert torch.allclose(dense[:, ::2, ::2], sparse, atol=1e-5)


@pytest.mark.parametrize('tokens', ['performer', 'transformer'])
def test_windows_in_the_pyramid(tokens: str) -> None:
    whole = tiny(tokens=tokens)
    model = tiny(tokens=tokens, window_size=3)
    model.load_state_dict(whole.state_dict())
    # One window holds the image: nothing changes.
    same = zip(maps(model, 48, 48), maps(whole, 48, 48))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in same)
    # Two columns of windows: all but the last block of each group.
    windows = [block.attn.window for block in model.stages[2].blocks]
    assert windows == [None, None, 3, None, None]
    for size in ((48, 64), (97, 33)):
        levels = maps(model, *size)
        assert [level.shape[2:] for level in levels] == [
            (-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16, 32)
        ]
    changed = (maps(model, 48, 64)[2] - maps(whole, 48, 64)[2]).abs().max()
    assert changed > 1e-3


def test_windows_cut_the_work_on_large_images() -> None:
    def macs(**kwargs: Any) -> float:
        with torch.device('meta'):
            model = T2TViT('t_14', out_indices=(2,), **kwargs).eval()
            x = torch.empty(1, 3, 800, 1344)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(x)
        return counter.get_total_flops() / 2e9

    assert macs() == pytest.approx(890, rel=0.02)
    assert macs(window_size=14) < 240


def test_flipped_weights_take_bgr() -> None:
    for tokens in ('performer', 'transformer'):
        model = tiny(tokens=tokens)
        for tensor in (
            model.stages[0].norm1.weight,
            model.stages[0].norm1.bias,
        ):
            nn.init.normal_(tensor)
        flipped = copy.deepcopy(model)
        flipped.flip_input_channels()
        x = torch.randn(1, 3, 32, 48)
        with torch.no_grad():
            pairs = list(zip(model(x), flipped(x.flip(1))))
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_weights_of_reduced_precision() -> None:
    for tokens in ('performer', 'transformer'):
        model = tiny(tokens=tokens)
        x = torch.randn(1, 3, 48, 64)
        with torch.no_grad():
            expected = model(x)
            levels = model.bfloat16()(x.bfloat16())
        for level, full in zip(levels, expected):
            assert level.dtype == torch.bfloat16
            assert (level.float() - full).norm() < 0.05 * full.norm()


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(window_size=0), 'window_size=0; give a number of tokens'),
        (dict(pretrain_size=230), 'pretrain_size=230; give a multiple of 16'),
        (dict(tokens='mlp'), "tokens='mlp'.*'performer', 'transformer'"),
        (dict(block='wide'), "block='wide'.*'plain', 'dense', 'se', 'ghost'"),
        (dict(depths=(2, 2)), r'depths=\(2, 2\).*four groups'),
        (dict(depths=(2, 0, 2, 2)), 'depths=.*1 or more'),
    ],
)
def test_wrong_arguments_name_the_right_ones(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**given)
