"""T2T-ViT's files: official wrappings, mmpretrain's names, other grids."""

from pathlib import Path

import pytest
import torch
from helpers.official import figures, official_state
from torch import Tensor

from lvt_dense.models.backbones import PlainT2TViT, T2TViT, families
from lvt_dense.models.backbones.pretrained import identify, load_backbone
from lvt_dense.models.backbones.t2t_vit import sinusoid_table
from lvt_dense.utils.errors import UserError

FIGURES = figures('t2t')
# mmpretrain's T2T_ViT, tokens_to_token layer by layer, then one encoder.
MMPRETRAIN_LAYER = {
    'ln1.weight': 'norm1.weight',
    'ln1.bias': 'norm1.bias',
    'attn.qkv.weight': 'attn.qkv.weight',
    'attn.proj.weight': 'attn.proj.weight',
    'attn.proj.bias': 'attn.proj.bias',
    'ln2.weight': 'norm2.weight',
    'ln2.bias': 'norm2.bias',
    'ffn.layers.0.0.weight': 'mlp.fc1.weight',
    'ffn.layers.0.0.bias': 'mlp.fc1.bias',
    'ffn.layers.1.weight': 'mlp.fc2.weight',
    'ffn.layers.1.bias': 'mlp.fc2.bias',
}


@pytest.fixture(scope='module')
def official() -> dict[str, Tensor]:
    """State dict of the official t2t_vit_7, classifier included."""
    state = official_state(FIGURES['t2t_vit_7']['official_keys'])
    state['pos_embed'] = sinusoid_table(197, 256)
    return state


def saved(tmp_path: Path, content: object) -> str:
    path = tmp_path / 'weights.pth.tar'
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize('wrapping', ['state_dict_ema', 'state_dict', None])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_official_wrappings(
    tmp_path: Path,
    official: dict[str, Tensor],
    wrapping: str | None,
    prefix: str,
) -> None:
    content = {prefix + key: value for key, value in official.items()}
    path = saved(tmp_path, {wrapping: content} if wrapping else content)
    model = T2TViT('7', init_cfg=dict(type='Pretrained', checkpoint=path))
    model.init_weights()
    for ours, theirs in (
        ('stages.0.kqv.weight', 'tokens_to_token.attention1.kqv.weight'),
        ('stages.1.w', 'tokens_to_token.attention2.w'),
        ('stages.2.project.bias', 'tokens_to_token.project.bias'),
        ('stages.2.cls_token', 'cls_token'),
        ('stages.2.blocks.6.mlp.fc2.weight', 'blocks.6.mlp.fc2.weight'),
        ('stages.2.norm.weight', 'norm.weight'),
    ):
        assert torch.equal(model.state_dict()[ours], official[theirs])


def test_every_tensor_but_the_classifier_is_loaded(
    tmp_path: Path, official: dict[str, Tensor]
) -> None:
    path = saved(tmp_path, {'state_dict_ema': official})
    report = load_backbone(T2TViT('7'), path)
    assert report.layout == 'official'
    assert len(report.loaded) == len(official) - 2
    assert not report.unexpected


def test_levels_that_were_not_asked_for_are_left_out(
    tmp_path: Path, official: dict[str, Tensor]
) -> None:
    path = saved(tmp_path, official)
    report = load_backbone(T2TViT('7', out_indices=(0, 1)), path)
    assert all(
        key.startswith(('stages.0.', 'stages.1.')) for key in report.loaded
    )
    report = load_backbone(PlainT2TViT('7', (0,)), path)
    assert 'stages.2.blocks.0.norm1.weight' in report.loaded
    assert 'stages.2.blocks.1.norm1.weight' in report.unexpected


def test_own_files_fit_both_modes(tmp_path: Path) -> None:
    native, blocks = T2TViT('7'), PlainT2TViT('7')
    report = load_backbone(blocks, saved(tmp_path, native.state_dict()))
    assert report.layout == 'lvt_dense'
    expected = native.state_dict()
    for key, value in blocks.state_dict().items():
        assert torch.equal(value, expected[key])


def test_mmpretrain_names(tmp_path: Path) -> None:
    own = T2TViT('t_14').state_dict()
    names = {
        'cls_token': 'stages.2.cls_token',
        'pos_embed': 'stages.2.pos_embed',
        'tokens_to_token.project.weight': 'stages.2.project.weight',
        'tokens_to_token.project.bias': 'stages.2.project.bias',
        'norm.weight': 'stages.2.norm.weight',
        'norm.bias': 'stages.2.norm.bias',
    }
    layers = {
        'tokens_to_token.attention1.': 'stages.0.',
        'tokens_to_token.attention2.': 'stages.1.',
    }
    layers.update(
        {f'encoder.{i}.': f'stages.2.blocks.{i}.' for i in range(14)}
    )
    for theirs, ours in layers.items():
        for their_part, our_part in MMPRETRAIN_LAYER.items():
            names[theirs + their_part] = ours + our_part
    content = {f'backbone.{k}': own[v] for k, v in names.items()}
    content['head.layers.head.weight'] = torch.zeros(1000, 384)
    family, layout, prefix = identify(content, families().values())
    assert (family, layout.name, prefix) == (T2TViT, 'mmpretrain', 'backbone.')
    model = T2TViT('t_14')
    report = load_backbone(model, saved(tmp_path, {'state_dict': content}))
    assert not report.unexpected
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], own[key]) for key in own)


def test_the_table_of_positions_may_be_absent(
    tmp_path: Path, official: dict[str, Tensor]
) -> None:
    state = {k: v for k, v in official.items() if k != 'pos_embed'}
    model = T2TViT('7')
    model.stages[2].pos_embed.zero_()
    load_backbone(model, saved(tmp_path, state))
    assert torch.equal(model.stages[2].pos_embed, official['pos_embed'])


def test_weights_of_384_pixels(
    tmp_path: Path, official: dict[str, Tensor]
) -> None:
    state = dict(official, pos_embed=sinusoid_table(577, 256))
    path = saved(tmp_path, {'state_dict_ema': state})
    for model in (T2TViT('7', pretrain_size=384), T2TViT('7')):
        load_backbone(model, path)
        assert torch.equal(model.stages[2].pos_embed, state['pos_embed'])
    state['pos_embed'] = torch.zeros(1, 578, 256)  # no square
    path = saved(tmp_path, {'state_dict_ema': state})
    with pytest.raises(UserError, match=r'pos_embed \(1, 578, 256\)'):
        load_backbone(T2TViT('7'), path)


@pytest.mark.parametrize(
    ('arch', 'word'), [('10', 'missing'), ('t_14', 'mis')]
)
def test_other_variants_are_refused(
    tmp_path: Path, official: dict[str, Tensor], arch: str, word: str
) -> None:
    with pytest.raises(UserError, match=f'official layout.*{arch}.*{word}'):
        load_backbone(T2TViT(arch), saved(tmp_path, official))


def test_flipped_stem(tmp_path: Path, official: dict[str, Tensor]) -> None:
    model = T2TViT('7')
    load_backbone(model, saved(tmp_path, official), flip_stem=True)
    weight = official['tokens_to_token.attention1.kqv.weight']
    blue, green, red = weight.split(49, 1)
    flipped = model.stages[0].kqv.weight
    assert torch.equal(flipped, torch.cat((red, green, blue), 1))
