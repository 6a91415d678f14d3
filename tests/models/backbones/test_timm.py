"""timm's networks under the contract of the light transformers.

The names below are small, and between them cover every way in which timm
returns levels, rounds sizes, and puts activations into norms.
"""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers.backbones import difference, images, is_same, normed, statistics
from helpers.optional import is_importable
from mmcv.cnn import fuse_conv_bn
from mmengine.model import revert_sync_batchnorm
from torch import nn

from lvt_dense import build_backbone
from lvt_dense.checkpoints.timm import timm_key
from lvt_dense.models.backbones import Timm
from lvt_dense.models.layers import NormAct, fold_batch_norms
from lvt_dense.utils.errors import UserError

if not is_importable('timm'):
    pytest.skip('timm cannot be imported', allow_module_level=True)
import timm

NAMES = (
    'convnext_atto',
    'cpubone_b0_bfrobust',
    'cpubone_nano',
    'cs3darknet_s',
    'edgenext_xx_small',
    'efficientnet_b0',
    'efficientvit_b0',
    'fasternet_t0',
    'fastvit_t8',
    'fbnetc_100',
    'ghostnetv3_100',
    'hardcorenas_a',
    'hgnetv2_b0',
    'inception_next_atto',
    'lcnet_050',
    'lowformer_b0',
    'mambaout_femto',
    'mobilenetv3_small_050',
    'mobilenetv4_conv_small',
    'mobilenetv4_hybrid_medium_075',
    'mobileone_s0',
    'mobilevit_xxs',
    'mobilevitv2_050',
    'mvitv2_tiny',
    'pvt_v2_b0',
    'regnety_002',
    'repghostnet_050',
    'repvit_m0_9',
    'resnet10t',
    'rexnetr_200',
    'semnasnet_050',
    'starnet_s050',
    'swiftformer_xs',
    'swin_tiny_patch4_window7_224',
    'tinynet_e',
    'tiny_vit_5m_224',
)
# One of each way in which stages are built.
SOME = (
    'convnext_atto',
    'efficientvit_b0',
    'fastvit_t8',
    'mobilenetv4_conv_small',
    'mobilevit_xxs',
    'mvitv2_tiny',
    'pvt_v2_b0',
    'swin_tiny_patch4_window7_224',
)
# Of other strides, by the levels that there are.
OTHER_STRIDES = {'shvit_s1': (2, 3, 4), 'efficientvit_m0': (2, 3, 4)}
PLAIN = (
    'vit_tiny_patch16_224',
    'deit_tiny_patch16_224',
    'eva02_tiny_patch14_224',
)
SIZES = ((101, 67), (64, 160))


@pytest.fixture(scope='module', params=NAMES)
def backbone(request: pytest.FixtureRequest) -> Iterator[Timm]:
    torch.manual_seed(0)
    yield spread(build_backbone(f'timm:{request.param}')).eval()


def spread(model: Any) -> Any:
    """Give every norm statistics and scales that a test can see."""
    generator = torch.Generator().manual_seed(1)
    for _, value in itertools.chain(
        model.named_parameters(), model.named_buffers()
    ):
        if value.ndim == 1 and value.dtype == torch.float32:
            noise = 0.2 * torch.rand(value.shape, generator=generator)
            with torch.no_grad():
                value.add_(noise)
    return model


def own_features(backbone: Timm, x: torch.Tensor) -> list[torch.Tensor]:
    """What timm's own network returns, with the same weights."""
    name = backbone.network.name
    net = timm.create_model(name, **backbone.network.args).eval()
    own = {
        timm_key(key): value for key, value in backbone.state_dict().items()
    }
    assert not net.load_state_dict(own, strict=False).unexpected_keys
    return net.forward_intermediates(
        x,
        indices=list(backbone.network.taps.values()),
        intermediates_only=True,
    )


# ------------------------------------------------------------- every network
@pytest.mark.parametrize('size', SIZES, ids='{0[0]}x{0[1]}'.format)
def test_levels(backbone: Timm, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        levels = backbone(images(*size))
    assert backbone.out_strides == (4, 8, 16, 32)
    assert [level.shape for level in levels] == [
        (1, channels, -(-size[0] // stride), -(-size[1] // stride))
        for channels, stride in zip(
            backbone.out_channels, backbone.out_strides
        )
    ]
    assert all(level.isfinite().all() for level in levels)
    assert all(level.is_contiguous() for level in levels)


def test_equals_timm(backbone: Timm) -> None:
    x = images(64, 128)
    with torch.inference_mode():
        expected = own_features(backbone, x)
        if backbone.network.name.startswith(('swin', 'mambaout')):
            expected = [
                m if m.shape[1] == c else m.permute(0, 3, 1, 2)
                for m, c in zip(expected, backbone.out_channels)
            ]
        assert difference(backbone(x), expected) < 1e-4


def test_gradients_reach_every_parameter(backbone: Timm) -> None:
    levels = backbone(images(64, 64, 2))
    sum(level.square().sum() for level in levels).backward()
    without = [n for n, p in backbone.named_parameters() if p.grad is None]
    backbone.zero_grad()
    assert without == []


def test_folding_and_sync_keep_activations(backbone: Timm) -> None:
    """Whoever replaces batch norms, here or elsewhere, changes no output."""
    x, name = images(64, 64), backbone.network.name
    with torch.inference_mode():
        expected = backbone(x)
        for change in (
            lambda m: fold_batch_norms(m, x),
            # takes a norm of a sum for that of the last convolution
            *([fuse_conv_bn] if 'repvit' not in name else []),
            nn.SyncBatchNorm.convert_sync_batchnorm,
            lambda m: revert_sync_batchnorm(
                nn.SyncBatchNorm.convert_sync_batchnorm(m)
            ),
        ):
            changed = change(copy.deepcopy(backbone)).eval()
            assert difference(changed(x), expected) < 1e-3


# ---------------------------------------------------------------- some of them
@pytest.mark.parametrize('name', SOME)
def test_recomputation(name: str) -> None:
    results = []
    for with_cp in (False, True):
        torch.manual_seed(2)
        model = Timm(name, with_cp=with_cp).train()
        torch.manual_seed(3)
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


def test_a_copy_recomputes_its_own_blocks() -> None:
    """Averaged models are copies."""
    model = Timm('resnet10t', with_cp=True)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    assert all(level.isfinite().all() for level in twin(images(64, 64, 2)))


@pytest.mark.parametrize('frozen', (0, 2, 4))
@pytest.mark.parametrize('name', SOME)
def test_frozen_stages(name: str, frozen: int) -> None:
    model = Timm(name, frozen_stages=frozen).train()
    free = [n for n, p in model.named_parameters() if p.requires_grad]
    assert (frozen == 4) == (not free)
    before = statistics(model)
    levels = model(images(64, 64, 2))
    after = statistics(model)
    changed = {n for n in after if not torch.equal(after[n], before[n])}
    norms = {n.rpartition('.')[0] for n in changed}
    assert norms <= {n.rpartition('.')[0] for n in free}
    # the frozen levels depend on no free parameter
    assert [level.requires_grad for level in levels] == [
        i >= frozen for i in range(4)
    ]


# ---------------------------------------------------------------- single ones
def test_other_strides() -> None:
    for name, levels in OTHER_STRIDES.items():
        model = Timm(name, out_indices=levels).eval()
        assert model.out_strides == tuple(2 ** (i + 2) for i in levels)
        assert Timm(name).out_indices == (2, 3)
        with pytest.raises(UserError, match='no level 0, but the levels 2'):
            Timm(name, out_indices=(0, 1, 2, 3))


@pytest.mark.parametrize('name', PLAIN)
def test_plain_networks_return_four_maps(name: str) -> None:
    model = Timm(name).eval()
    assert not model.is_pyramid
    assert model.out_strides == (16, 16, 16, 16)
    with torch.inference_mode():
        maps = model(images(101, 67))
    assert [m.shape[2:] for m in maps] == 4 * [(7, 5)]
    maps = model(images(64, 64))
    sum(m.square().sum() for m in maps).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('stride', (8, 16))
def test_output_stride(stride: int) -> None:
    model = Timm('mobilenetv4_conv_small', output_stride=stride).eval()
    assert model.out_strides == tuple(min(s, stride) for s in (4, 8, 16, 32))
    with torch.inference_mode():
        levels = model(images(65, 97))
    assert [level.shape[2:] for level in levels] == [
        (-(-65 // s), -(-97 // s)) for s in model.out_strides
    ]
    with pytest.raises(UserError, match='repvit_m0_9 .*output_stride'):
        Timm('repvit_m0_9', output_stride=stride)


def test_chosen_levels_drop_the_rest() -> None:
    every = build_backbone('timm:repvit_m0_9').eval()
    some = build_backbone('timm:repvit_m0_9', out_indices=(1, 2)).eval()
    assert not any('stages.3' in key for key in some.state_dict())
    some.load_state_dict(
        {k: v for k, v in every.state_dict().items() if 'stages.3' not in k}
    )
    x = images(64, 64)
    with torch.inference_mode():
        assert difference(some(x), every(x)[1:3]) < 1e-5


def test_norm_eval_and_sync_norms() -> None:
    model = Timm(
        'mobilenetv3_small_050', norm_eval=True, norm_cfg=dict(type='SyncBN')
    ).train()
    norms = list(normed(model))
    assert norms and not any(norm.training for norm in norms)
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert any(isinstance(m, NormAct) for m in model.modules())


def test_images_of_one_size() -> None:
    name = 'test_coatnet'
    with pytest.raises(UserError, match=r'one size .* img_size=\(480, 640\)'):
        Timm(name)
    model = Timm(dict(name=name, img_size=(64, 96))).eval()
    with torch.inference_mode():
        assert model(images(60, 90))[3].shape[2:] == (2, 3)
    with pytest.raises(UserError, match='images of 64x96, and this one has'):
        model(images(64, 128))


def test_windows_that_need_large_multiples() -> None:
    network = Timm('test_maxvit').network
    assert network.size is None and network.unit >= 128


@pytest.mark.parametrize(
    ('arch', 'message'),
    (
        ('repvit_m09', 'no network .*did you mean .*repvit_m0_9'),
        ('repvit_m0_9.in1k', "no weights 'in1k' .*dist_300e_in1k"),
        ('crossvit_tiny_240', 'strides 12, 17'),
        ('inception_v3', 'does not have the levels'),
        (None, 'give the name of a network'),
        (dict(name='resnet10t', depth=3), 'depth=3'),
    ),
)
def test_wrong_networks(arch: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Timm(arch)


def test_drop_path_is_passed_on_where_there_is_one() -> None:
    model = Timm('convnext_atto', drop_path_rate=0.2)
    assert any('DropPath' in type(m).__name__ for m in model.modules())
    with pytest.raises(UserError, match='drop_path_rate=0.2'):
        Timm('repvit_m0_9', drop_path_rate=0.2)


def test_export() -> None:
    model = Timm('mobilevit_xxs').eval()
    x = images(64, 96)
    with torch.no_grad():
        program = torch.export.export(model, (x,))
        assert difference(program.module()(x), model(x)) < 1e-4
