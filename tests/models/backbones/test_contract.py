"""What every backbone promises, checked on all that are registered.

A new family is covered as soon as it is imported; nothing is listed here.
Shapes are checked on every variant, numbers on the two smallest of each family
(on the others before a release), what is costly (compilation, export,
recomputation ...) on the smallest.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from helpers.backbones import (
    SMALL,
    difference,
    images,
    is_same,
    normed,
    statistics,
)
from helpers.official_names import to_official

from lvt_dense import build_backbone, list_backbones
from lvt_dense.models.backbones import MobileViT, PyramidBackbone, families
from lvt_dense.models.backbones.pretrained import identify, target_of
from lvt_dense.registry import MODELS

SIZES = [
    (257, 193),
    (64, 1024),
    pytest.param((224, 224), marks=pytest.mark.release),
    pytest.param((320, 480), marks=pytest.mark.release),
]


# ------------------------------------------------------------ every variant
@pytest.mark.parametrize('size', SIZES, ids='{0[0]}x{0[1]}'.format)
@pytest.mark.parametrize('name', list_backbones())
def test_shapes(name: str, size: tuple[int, int]) -> None:
    """On the meta device, where tensors have no values."""
    with torch.device('meta'):
        backbone = build_backbone(name).eval()
    assert backbone.out_strides == (4, 8, 16, 32)
    with torch.inference_mode():
        levels = backbone(torch.empty(1, 3, *size, device='meta'))
    assert [level.shape for level in levels] == [
        (1, channels, *(-(-side // stride) for side in size))
        for channels, stride in zip(
            backbone.out_channels, backbone.out_strides
        )
    ]


def test_gradients_reach_every_parameter(backbone: PyramidBackbone) -> None:
    # In eval mode: stochastic depth may leave out a block altogether.
    levels = backbone(images(64, 64, 2))
    generator = torch.Generator().manual_seed(2)
    # A random direction: sums over a normalized map hardly change.
    sum(
        (level * torch.randn(level.shape, generator=generator)).sum()
        for level in levels
    ).backward()
    without = [
        name
        for name, param in backbone.named_parameters()
        if param.requires_grad and (param.grad is None or not param.grad.any())
    ]
    backbone.zero_grad()
    assert without == []


def test_other_images_do_not_matter(backbone: PyramidBackbone) -> None:
    batch = images(*SMALL, batch=2)
    with torch.inference_mode():
        both = backbone(batch)
        again = backbone(batch)
        alone = backbone(batch[:1])
    assert all(level.isfinite().all() for level in both)
    assert all(torch.equal(b, a) for b, a in zip(both, again))
    assert difference([level[:1] for level in both], alone) < 1e-4


def test_official_names_and_back(backbone: PyramidBackbone) -> None:
    own = backbone.state_dict()
    for layout in backbone.layouts:
        try:
            official = to_official(layout, own)
        except KeyError:  # other code bases may lack a variant
            assert layout is not backbone.layouts[0]
            continue
        family, found, prefix = identify(official, families().values())
        assert (family, found.name) == (type(backbone), layout.name)
        assert prefix == ''
        back, unknown = layout.to_own(official, target_of(backbone))
        assert unknown == []
        assert is_same(back, own)


def test_settings_as_dict(backbone: PyramidBackbone) -> None:
    twin = type(backbone)(dict(backbone.settings))
    assert {k: v.shape for k, v in twin.state_dict().items()} == {
        k: v.shape for k, v in backbone.state_dict().items()
    }


# ------------------------------------------- the smallest of every family
def test_mode_is_chained(smallest: Callable) -> None:
    model = smallest()
    assert model.train() is model
    assert model.training
    assert model.eval() is model
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize('frozen', (0, 2, 4))
def test_frozen_stages(smallest: Callable, frozen: int) -> None:
    model = smallest(frozen_stages=frozen).train()
    parts = [model.stem, *model.stages]
    fixed, free = parts[: frozen + 1], parts[frozen + 1 :]
    assert not any(
        p.requires_grad for part in fixed for p in part.parameters()
    )
    assert all(p.requires_grad for part in free for p in part.parameters())
    before = [statistics(part) for part in parts]
    model(images(64, 64, 2))
    for part, buffers in zip(fixed, before):
        assert is_same(statistics(part), buffers)
    for part, buffers in zip(free, before[frozen + 1 :]):
        assert is_same(statistics(part), buffers) == (not normed(part))


def test_norm_eval(smallest: Callable) -> None:
    model = smallest(norm_eval=True).train()
    assert not any(norm.training for norm in normed(model))
    assert all(p.requires_grad for n in normed(model) for p in n.parameters())
    before = statistics(model)
    model(images(64, 64, 2))
    assert is_same(statistics(model), before)
    assert model.training


def test_recomputation(smallest: Callable) -> None:
    plain = smallest().train()
    saving = smallest(with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    results = []
    for model in (plain, saving):
        torch.manual_seed(3)  # dropout and stochastic depth
        levels = model(images(64, 64, 2))
        sum(level.square().mean() for level in levels).backward()
        grads = {n: p.grad for n, p in model.named_parameters()}
        results.append((levels, grads, statistics(model)))
    (levels, grads, buffers), (levels_cp, grads_cp, buffers_cp) = results
    assert difference(levels_cp, levels) < 1e-5
    assert is_same(buffers_cp, buffers)
    largest = max(float(grad.abs().max()) for grad in grads.values())
    for name, grad in grads.items():
        assert (grads_cp[name] - grad).abs().max() < 1e-5 * largest, name


def test_autocast(small: PyramidBackbone) -> None:
    x = images(*SMALL)
    with torch.inference_mode():
        expected = small(x)
        with torch.autocast('cpu', torch.bfloat16):
            levels = small(x)
    for level, full in zip(levels, expected):
        assert level.isfinite().all()
        assert (level.float() - full).norm() < 0.1 * full.norm()


def test_channels_last(small: PyramidBackbone) -> None:
    x = images(*SMALL)
    model = copy.deepcopy(small).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        levels = model(x.contiguous(memory_format=torch.channels_last))
        assert difference(levels, small(x)) < 1e-4


def test_compile(small: PyramidBackbone) -> None:
    """Captured as one graph; lowering and code generation are left out.

    With the default backend this takes minutes a family on two cores.
    """
    torch._dynamo.reset()
    compiled = torch.compile(small, backend='eager', fullgraph=True)
    x = images(*SMALL)
    levels = compiled(x)
    assert difference(levels, small(x)) < 1e-4
    sum(level.sum() for level in levels).backward()
    assert any(p.grad is not None for p in small.parameters())
    small.zero_grad()


def test_export(small: PyramidBackbone) -> None:
    with torch.no_grad():
        program = torch.export.export(small, (images(*SMALL),))
        other = images(*SMALL, batch=2)[1:]
        assert difference(program.module()(other), small(other)) < 1e-4


def test_flip_stem(small: PyramidBackbone) -> None:
    x = images(*SMALL)
    model = copy.deepcopy(small)
    model.flip_input_channels()
    with torch.inference_mode():
        expected = small(x)
        assert difference(model(x), expected) > 1e-2
        assert difference(model(x.flip(1)), expected) < 1e-4


@pytest.mark.parametrize('stride', (8, 16))
def test_output_stride(
    small: PyramidBackbone, smallest: Callable, stride: int
) -> None:
    model = smallest(output_stride=stride).eval()
    assert model.out_strides == tuple(min(s, stride) for s in (4, 8, 16, 32))
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in small.state_dict().items()
    }
    with torch.inference_mode():
        levels = model(images(65, 97))
    assert [level.shape[2:] for level in levels] == [
        (-(-65 // s), -(-97 // s)) for s in model.out_strides
    ]


def test_chosen_levels(small: PyramidBackbone, smallest: Callable) -> None:
    last = smallest(out_indices=(-1,))
    assert last.out_indices == (last.num_levels - 1,)
    model = smallest(out_indices=(0, -3)).eval()
    assert model.out_indices == (0, model.num_levels - 3)
    weights = small.state_dict()
    model.load_state_dict({k: weights[k] for k in model.state_dict()})
    x = images(*SMALL)
    with torch.inference_mode():
        every = small(x)
        levels = model(x)
    assert difference(levels, [every[i] for i in model.out_indices]) < 1e-5


@pytest.mark.parametrize('levels', ((), (1, 0), (2, 2), (9,), (-9,)))
def test_wrong_levels(smallest: Callable, levels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r'0 \(stride 4\), 1 \(stride 8\)'):
        smallest(out_indices=levels)


@pytest.mark.parametrize(
    ('given', 'message'),
    (
        (dict(output_stride=4), 'output_stride=4.*8, 16, 32'),
        (dict(frozen_stages=-2), 'frozen_stages=-2.*-1'),
        (dict(frozen_stages=9), 'frozen_stages=9.*-1'),
    ),
)
def test_wrong_arguments(
    smallest: Callable, given: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        smallest(**given)


def test_wrong_arch(small: PyramidBackbone) -> None:
    cls = type(small)
    with pytest.raises(ValueError, match=f"arch='huge'.*{cls.default_arch}"):
        cls('huge')
    missing, *others = small.settings
    with pytest.raises(ValueError, match=f"lacks .*'{missing}'"):
        cls({key: small.settings[key] for key in others})
    with pytest.raises(ValueError, match="unknown .*'surplus'"):
        cls(dict(small.settings, surplus=1))


def test_names() -> None:
    names = list_backbones()
    assert len(names) == len(set(names))
    assert type(build_backbone('mobilevit_xxs')).family == 'mobilevit'
    with pytest.raises(ValueError, match='did you mean .*mobilevit_xxs'):
        build_backbone('mobilevit_xss')
    with pytest.raises(ValueError, match='list_backbones'):
        build_backbone('zzz')


def test_unfinished_family_is_not_listed() -> None:
    class Draft(PyramidBackbone):
        pass

    MODELS.register_module(module=Draft)
    try:
        assert Draft not in families().values()
        assert 'mobilevit_xxs' in list_backbones()
    finally:
        MODELS.module_dict.pop('Draft')


def test_registered_subclass_of_a_family_is_listed() -> None:
    class Heir(MobileViT):
        pass

    assert Heir not in families().values()
    MODELS.register_module(module=Heir)
    try:
        assert families()['Heir'] is Heir
        assert families()['mobilevit'] is MobileViT
        assert type(build_backbone('Heir_xxs')) is Heir
    finally:
        MODELS.module_dict.pop('Heir')
