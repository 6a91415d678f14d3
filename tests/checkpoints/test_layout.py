"""Names of official checkpoints, against lists that were not made here."""

import pytest
import torch
from helpers.official import figures
from helpers.official_names import to_official
from torch import Tensor

from lvt_dense import build_backbone
from lvt_dense.checkpoints import Layout
from lvt_dense.models.backbones import EMO, MobileViT, families
from lvt_dense.models.backbones.pretrained import convert_state, identify

# Of MobileViT-XXS, read from the code bases: name, shape, and our name.
BLOCK = 'stages.1.1'
SAMPLES = {
    'cvnets': {
        'conv_1.block.norm.running_var': ((16,), 'stem.0.norm.running_var'),
        'layer_1.0.block.red_1x1.block.conv.weight': (
            (16, 32, 1, 1),
            'stem.1.project.conv.weight',
        ),
        'layer_2.2.block.conv_3x3.block.conv.weight': (
            (48, 1, 3, 3),
            'stages.0.2.depthwise.conv.weight',
        ),
        'layer_3.1.local_rep.conv_1x1.block.conv.weight': (
            (64, 48, 1, 1),
            f'{BLOCK}.to_tokens.weight',
        ),
        'layer_3.1.global_rep.1.pre_norm_mha.1.out_proj.bias': (
            (64,),
            f'{BLOCK}.encoders.1.attn.proj.bias',
        ),
        'layer_3.1.global_rep.0.pre_norm_ffn.4.weight': (
            (64, 128),
            f'{BLOCK}.encoders.0.ffn.2.weight',
        ),
        'layer_5.1.global_rep.3.weight': ((96,), 'stages.3.1.norm.weight'),
        'layer_5.1.fusion.block.conv.weight': (
            (80, 160, 3, 3),
            'stages.3.1.fuse.conv.weight',
        ),
    },
    'timm': {
        'stem.bn.bias': ((16,), 'stem.0.norm.bias'),
        'stages.0.0.conv2_kxk.bn.weight': (
            (32,),
            'stem.1.depthwise.norm.weight',
        ),
        'stages.2.1.transformer.1.mlp.fc1.weight': (
            (128, 64),
            f'{BLOCK}.encoders.1.ffn.0.weight',
        ),
        'stages.2.1.conv_kxk.conv.weight': (
            (48, 48, 3, 3),
            f'{BLOCK}.local.conv.weight',
        ),
        'stages.4.1.norm.bias': ((96,), 'stages.3.1.norm.bias'),
    },
    'timm features_only': {
        'stem.conv.weight': ((16, 3, 3, 3), 'stem.0.conv.weight'),
        'stages_2.1.conv_1x1.weight': (
            (64, 48, 1, 1),
            f'{BLOCK}.to_tokens.weight',
        ),
        'stages_4.0.conv3_1x1.conv.weight': (
            (80, 128, 1, 1),
            'stages.3.0.project.conv.weight',
        ),
    },
    'mmpretrain': {
        'layers.1.2.conv.1.bn.running_mean': (
            (48,),
            'stages.0.2.depthwise.norm.running_mean',
        ),
        'layers.2.1.local_rep.0.conv.weight': (
            (48, 48, 3, 3),
            f'{BLOCK}.local.conv.weight',
        ),
        'layers.2.1.global_rep.1.attn.qkv.weight': (
            (192, 64),
            f'{BLOCK}.encoders.1.attn.qkv.weight',
        ),
        'layers.2.1.global_rep.2.weight': ((64,), f'{BLOCK}.norm.weight'),
        'layers.4.1.global_rep.2.ffn.layers.1.bias': (
            (96,),
            'stages.3.1.encoders.2.ffn.2.bias',
        ),
    },
    'Hugging Face': {
        'conv_stem.normalization.weight': ((16,), 'stem.0.norm.weight'),
        'encoder.layer.0.layer.0.expand_1x1.convolution.weight': (
            (32, 16, 1, 1),
            'stem.1.expand.conv.weight',
        ),
        'encoder.layer.2.downsampling_layer.conv_3x3.normalization.bias': (
            (48,),
            'stages.1.0.depthwise.norm.bias',
        ),
        'encoder.layer.2.transformer.layer.1.intermediate.dense.weight': (
            (128, 64),
            f'{BLOCK}.encoders.1.ffn.0.weight',
        ),
        'encoder.layer.4.conv_projection.convolution.weight': (
            (80, 96, 1, 1),
            'stages.3.1.from_tokens.conv.weight',
        ),
    },
}
QKV = 'encoder.layer.2.transformer.layer.0.attention.attention'
EMO_SAMPLES = {
    'official': {
        'stage0.0.convs.0.0.bias': ((24,), 'stem.0.conv.bias'),
        'stage0.1.se.conv_expand.weight': (
            (24, 24, 1, 1),
            'stem.2.expand.weight',
        ),
        'stage2.1.norm.running_mean': ((48,), 'stages.1.1.norm.running_mean'),
        'stage3.4.norm.norm.weight': ((80,), 'stages.2.4.norm.weight'),
        'stage4.2.qk.conv.weight': (
            (336, 168, 1, 1),
            'stages.3.2.query_key.weight',
        ),
    },
    'timm style': {
        'patch_embed.7.weight': ((24, 24, 1, 1), 'stem.3.weight'),
        'stages.3.downsample.v.0.weight': (
            (560, 80, 1, 1),
            'stages.3.0.value.conv.weight',
        ),
        'stages.2.blocks.6.qk.bias': ((160,), 'stages.2.7.query_key.bias'),
        'stages.0.blocks.0.conv_local.1.running_var': (
            (64,),
            'stages.0.1.depthwise.norm.running_var',
        ),
        'stages.2.blocks.0.norm.bias': ((80,), 'stages.2.1.norm.bias'),
    },
}


def layout_of(family: type, name: str) -> Layout:
    return next(x for x in family.layouts if x.name == name)


@pytest.fixture(scope='module')
def weights() -> dict[type, dict[str, Tensor]]:
    return {
        MobileViT: build_backbone('mobilevit_xxs').state_dict(),
        EMO: build_backbone('emo_1m').state_dict(),
    }


@pytest.mark.parametrize(
    ('family', 'name', 'samples'),
    [
        *((MobileViT, name, samples) for name, samples in SAMPLES.items()),
        *((EMO, name, samples) for name, samples in EMO_SAMPLES.items()),
    ],
    ids=str,
)
def test_names(
    family: type,
    name: str,
    samples: dict[str, tuple[tuple[int, ...], str]],
    weights: dict[type, dict[str, Tensor]],
) -> None:
    own = weights[family]
    official = to_official(layout_of(family, name), own)
    for key, (shape, our_key) in samples.items():
        assert tuple(official[key].shape) == shape
        assert torch.equal(official[key], own[our_key]), key


def test_number_of_entries(weights: dict[type, dict[str, Tensor]]) -> None:
    """As many as the official files have, less the six of conv_1x1_exp."""
    own = weights[MobileViT]
    names = figures('mobilevit')['mobilevit_xxs']['official_keys']
    classifier = [k for k in names if 'conv_1x1_exp' in k or 'classif' in k]
    for layout in MobileViT.layouts:
        extra = 9 * 4 if layout.name == 'Hugging Face' else 0
        expected = len(names) - len(classifier) + extra
        assert len(to_official(layout, own)) == expected


def test_hugging_face_keeps_query_key_and_value_apart(
    weights: dict[type, dict[str, Tensor]],
) -> None:
    own = weights[MobileViT]
    official = to_official(layout_of(MobileViT, 'Hugging Face'), own)
    rows = own[f'{BLOCK}.encoders.0.attn.qkv.weight']
    for i, part in enumerate(('query', 'key', 'value')):
        expected = rows[64 * i : 64 * (i + 1)]
        assert torch.equal(official[f'{QKV}.{part}.weight'], expected)


@pytest.mark.parametrize(
    ('name', 'prefix'),
    (
        ('cvnets', 'encoder.'),
        ('Hugging Face', 'mobilevit.'),
        ('mmpretrain', 'backbone.'),
    ),
)
def test_prefix_and_head(
    name: str, prefix: str, weights: dict[type, dict[str, Tensor]]
) -> None:
    own = weights[MobileViT]
    layout = layout_of(MobileViT, name)
    whole = {prefix + k: v for k, v in to_official(layout, own).items()}
    whole['head.fc.weight'] = torch.zeros(2, 2)
    family, found, found_prefix = identify(whole, families().values())
    assert (family, found.name, found_prefix) == (MobileViT, name, prefix)
    back, unknown = convert_state(whole, found, found_prefix)
    assert back.keys() == own.keys()
    assert unknown == []


def test_classifier_is_left_out_and_the_unknown_is_told() -> None:
    names = figures('emo')['emo_1m']['official_keys']
    state = {key: torch.zeros(shape) for key, shape in names.items()}
    state['stage5.0.norm.weight'] = torch.zeros(3)
    own, unknown = EMO.layouts[0].to_own(state)
    assert unknown == ['stage5.0.norm.weight']
    assert not any(key.startswith(('head', 'norm')) for key in own)


def test_rules() -> None:
    layout = Layout(
        'test',
        ('a.0.w',),
        [
            (r'a.(\d+).w', r'x.\1.weight'),
            (r'b.(?P<rest>\S+)', r'y.\g<rest>'),
            (r'd.(\d+)', lambda m: f'z.{int(m[1]) + 1}'),
        ],
        ignored=('c.',),
    )
    own, unknown = layout.to_own(
        {'a.0.w': 1, 'b.p.q': 2, 'c.d': 3, 'a.0.1.w': 4, 'aa0.w': 5, 'd.9': 6}
    )
    assert own == {'x.0.weight': 1, 'y.p.q': 2, 'z.10': 6}
    assert unknown == ['a.0.1.w', 'aa0.w']
    assert layout.prefixes_of(['a.0.w']) == ['']
    assert layout.prefixes_of(['x.a.0.w', 'y.z.a.0.w']) == ['x.', 'y.z.']
    assert layout.prefixes_of(['b.p.q', 'xa.0.w']) == []
    assert identify(['something.else'], families().values()) is None


@pytest.mark.parametrize('layout', EMO.layouts, ids=lambda x: x.name)
def test_deeper_variants_have_official_names(layout: Layout) -> None:
    settings = dict(EMO.arch_settings['1m'], depths=(2, 2, 12, 3))
    own = EMO(settings).state_dict()
    official = to_official(layout, own)
    assert len(official) == len(own)
    back, unknown = layout.to_own(official)
    assert back.keys() == own.keys()
    assert unknown == []
