"""NASViT's layouts: slices of the supernet, static files, the way back."""

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from helpers.official import figures, official_state
from helpers.official_names import to_official
from torch import Tensor

from lvt_dense.checkpoints import Target
from lvt_dense.models.backbones import NASViT, families
from lvt_dense.models.backbones.pretrained import (
    convert_state,
    identify,
    load_backbone,
    target_of,
)
from lvt_dense.utils.errors import UserError

# Number of the first block of mb1 to mb7 in the supernet.
FIRST = (0, 2, 7, 13, 19, 28, 36)
T2 = NASViT.arch_settings['t2']


def all_levels(settings: dict) -> Target:
    with torch.device('meta'):
        return target_of(NASViT(settings, range(NASViT.num_levels)))


@pytest.fixture(scope='module')
def supernet() -> dict[str, Tensor]:
    keys = figures('nasvit')['official_keys']
    return official_state(
        {k: v for k, v in keys.items() if not k.endswith('_index')}
    )


@pytest.fixture(scope='module')
def t2(supernet: dict[str, Tensor]) -> dict[str, Tensor]:
    _, layout, prefix = identify(supernet, families().values())
    return convert_state(supernet, layout, prefix, all_levels(T2))[0]


def test_slices_are_those_of_the_official_code(
    supernet: dict[str, Tensor], t2: dict[str, Tensor]
) -> None:
    def official(number: int, key: str) -> Tensor:
        return supernet[f'blocks.{number}.{key}']

    # mb2, second block: 24 channels, expanded 4 times, kernel 3 of 5.
    inner = 'mobile_inverted_conv'
    for got, expected in (
        (
            t2['stages.0.1.depthwise.conv.weight'],
            official(3, f'{inner}.depth_conv.conv.conv.weight')[
                :96, :, 1:4, 1:4
            ],
        ),
        (
            t2['stages.0.1.project.norm.running_var'],
            official(3, f'{inner}.point_linear.bn.bn.running_var')[:24],
        ),
        # mb3, first block: 24 * 4 = 96 channels, a gate of 96 / 4.
        (
            t2['stages.1.0.se.expand.weight'],
            official(7, f'{inner}.depth_conv.se.fc.expand.weight')[:96, :24],
        ),
        # mb6, second block, 176 channels in 22 heads; mb5 has 4 blocks.
        (
            t2['stages.3.5.attn.query_key.weight'],
            torch.cat(
                [
                    official(29, f'attn.{part}.linear.weight')[:176, :176]
                    for part in 'qk'
                ]
            ),
        ),
        (
            t2['stages.3.5.attn.talk_weights.weight'],
            official(29, 'attn.proj_w.linear.weight')[:22, :22],
        ),
        (
            t2['stages.3.5.attn.value_conv.weight'],
            official(29, 'attn.vconv.weight')[: 4 * 176],
        ),
        # Depth 3, and 7 * 7 tokens at 224 pixels, modulo 8.
        (
            t2['stages.3.5.scale_mlp'],
            official(29, 'rescale_mlp')[3, 1, :176],
        ),
    ):
        assert torch.equal(got, expected)


def test_scaling_row_follows_the_training_resolution(
    supernet: dict[str, Tensor],
) -> None:
    _, layout, prefix = identify(supernet, families().values())
    table = supernet['blocks.14.rescale_attn']
    for resolution, row in ((192, 0), (224, 4), (256, 0), (288, 4)):
        settings = dict(T2, resolution=resolution)
        own, _ = convert_state(supernet, layout, prefix, all_levels(settings))
        assert torch.equal(own['stages.2.1.scale_attn'], table[3, row, :64])


def static_of(
    supernet: dict[str, Tensor], settings: dict
) -> dict[str, Tensor]:
    """A static file: own numbers and names, transformer blocks as wide."""
    static, number = {}, 0
    for first, depth in zip(FIRST, settings['depth']):
        for block in range(first, first + depth):
            for key, value in supernet.items():
                if key.startswith(f'blocks.{block}.') and (
                    '.bn_tracking.' not in key
                ):
                    rest = key.split('.', 2)[2]
                    rest = rest.replace('conv.conv.weight', 'conv.weight')
                    rest = rest.replace('.bn.bn.', '.bn.')
                    static[f'blocks.{number}.{rest}'] = value
            number += 1
    for key, value in supernet.items():
        if key.startswith('first_conv') and 'tracking' not in key:
            key = key.replace('conv.conv.w', 'conv.w').replace('bn.bn', 'bn')
            static[key] = value
    return static


def test_static_file_of_the_largest_network(
    supernet: dict[str, Tensor],
) -> None:
    settings = NASViT.arch_settings['max']
    state = static_of(supernet, settings)
    family, layout, prefix = identify(state, families().values())
    assert (family, layout.name, prefix) == (NASViT, 'official static', '')
    got, unknown = convert_state(state, layout, prefix, all_levels(settings))
    _, layout, prefix = identify(supernet, families().values())
    expected, _ = convert_state(supernet, layout, prefix, all_levels(settings))
    assert not unknown
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[k], expected[k]) for k in got)


def test_static_file_is_not_cut_to_another_network(
    supernet: dict[str, Tensor], tmp_path: Path
) -> None:
    state = static_of(supernet, NASViT.arch_settings['max'])
    torch.save(state, tmp_path / 'max.pth')
    with pytest.raises(UserError, match='mismatched'):
        load_backbone(NASViT('min'), tmp_path / 'max.pth')


@pytest.mark.parametrize('layout', NASViT.layouts, ids=lambda x: x.name)
@pytest.mark.parametrize('levels', [3, 4, 5])
def test_way_back(layout: str, levels: Any, t2: dict[str, Tensor]) -> None:
    own = {
        k: v
        for k, v in t2.items()
        if k.startswith('stem') or int(k.split('.')[1]) < levels
    }
    official = to_official(layout, own)
    assert identify(official, families().values())[:2] == (NASViT, layout)
    back, unknown = layout.to_own(official, all_levels(T2))
    assert not unknown
    assert back.keys() == own.keys()
    assert all(torch.equal(back[k], own[k]) for k in own)


def test_official_file_with_its_configuration(
    supernet: dict[str, Tensor], t2: dict[str, Tensor], tmp_path: Path
) -> None:
    """The published file holds a yacs node, which needs yacs to unpickle."""
    module = ModuleType('yacs.config')
    module.CfgNode = type('CfgNode', (dict,), {'__module__': 'yacs.config'})
    node = module.CfgNode(MODEL=module.CfgNode(TYPE='nasvit'))
    content = dict(
        model={k: torch.zeros_like(v) for k, v in supernet.items()},
        model_ema=supernet,
        max_accuracy=82.8,
        config=node,
    )
    sys.modules.update({'yacs': ModuleType('yacs'), 'yacs.config': module})
    try:
        torch.save(content, tmp_path / 'checkpoint.pth')
    finally:
        del sys.modules['yacs'], sys.modules['yacs.config']
    with pytest.raises((pickle.UnpicklingError, ModuleNotFoundError)):
        torch.load(tmp_path / 'checkpoint.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'checkpoint.pth'))
    net = NASViT('t2', out_indices=(0, 3), init_cfg=init)
    net.init_weights()
    state = net.state_dict()
    assert not any(k.startswith('stages.4') for k in state)
    assert all(
        torch.equal(v, t2[k])
        for k, v in state.items()
        if not k.endswith('num_batches_tracked')
    )


def test_supernet_needs_a_sub_network(supernet: dict[str, Tensor]) -> None:
    _, layout, prefix = identify(supernet, families().values())
    with pytest.raises(UserError, match='name a sub-network'):
        convert_state(supernet, layout, prefix)


def test_deeper_than_the_supernet(
    supernet: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(supernet, tmp_path / 'supernet.pth')
    net = NASViT(dict(T2, depth=(1, 3, 4, 7, 4, 3, 3)))
    with pytest.raises(UserError, match=r'missing \d+: stages.2.6'):
        load_backbone(net, tmp_path / 'supernet.pth')
