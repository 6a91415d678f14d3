"""MobileViT's official layouts: cvnets, timm, Hugging Face, mmpretrain.

The stem and ``layer_1`` of the official code are our stem; ``layer_2`` to
``layer_5`` are our stages 0 to 3, the last three with a transformer block.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .layout import BLOCK, PARAMETER, Layout, Rule, StateDict, Target

CLASSIFIER = ('classifier.', 'head.', 'conv_1x1_exp.', 'final_conv.')
ENCODER = r'(?P<i>\d+)'  # number of an encoder in its transformer block
NUMBER = r'\d+'  # that says nothing new


class _Names(NamedTuple):
    """What one code base calls the parts."""

    stem: str
    layers: tuple[str, ...]  # the five layers
    residual: str  # in a layer of inverted residuals only
    first_residual: str  # in a layer with a transformer block
    residual_parts: tuple[str, str, str]  # expand, depthwise, project
    block: str  # the transformer block in a layer
    conv_norm: tuple[str, str]
    local: str  # parts of the block, of which these are a conv and a norm
    from_tokens: str
    fuse: str
    to_tokens: str  # a convolution alone
    norm: str
    encoder: tuple[tuple[str, str], ...]  # theirs, ours


def backbone_rules(names: _Names) -> Iterator[Rule]:
    """Return the rules of one code base, see :class:`Layout`."""
    yield from _conv_norm(names, names.stem, 'stem.0')
    first, second, *others = names.layers
    # Layer 1 has one inverted residual, number 0.
    only = names.residual.replace(BLOCK, '0')
    yield from _residual(names, first + only, 'stem.1')
    yield from _residual(names, second + names.residual, r'stages.0.\g<b>')
    for stage, layer in enumerate(others, 1):
        own = f'stages.{stage}'
        residual = layer + names.first_residual
        yield from _residual(names, residual, f'{own}.0')
        yield from _block(names, layer + names.block, f'{own}.1')


def _conv_norm(names: _Names, theirs: str, ours: str) -> Iterator[Rule]:
    for their_part, our_part in zip(names.conv_norm, ('conv', 'norm')):
        yield f'{theirs}.{their_part}.{PARAMETER}', rf'{ours}.{our_part}.\g<p>'


def _residual(names: _Names, theirs: str, ours: str) -> Iterator[Rule]:
    parts = ('expand', 'depthwise', 'project')
    for their_part, our_part in zip(names.residual_parts, parts):
        yield from _conv_norm(
            names, f'{theirs}.{their_part}', f'{ours}.{our_part}'
        )


def _block(names: _Names, theirs: str, ours: str) -> Iterator[Rule]:
    for their_part, our_part in (
        (names.local, 'local'),
        (names.from_tokens, 'from_tokens'),
        (names.fuse, 'fuse'),
    ):
        yield from _conv_norm(
            names, f'{theirs}.{their_part}', f'{ours}.{our_part}'
        )
    yield f'{theirs}.{names.to_tokens}.weight', f'{ours}.to_tokens.weight'
    yield f'{theirs}.{names.norm}.{PARAMETER}', rf'{ours}.norm.\g<p>'
    for their_part, our_part in names.encoder:
        yield (
            f'{theirs}.{their_part}.{PARAMETER}',
            rf'{ours}.encoders.\g<i>.{our_part}.\g<p>',
        )


CVNETS = _Names(
    stem='conv_1.block',
    layers=('layer_1', 'layer_2', 'layer_3', 'layer_4', 'layer_5'),
    residual=f'.{BLOCK}.block',
    first_residual='.0.block',
    residual_parts=('exp_1x1.block', 'conv_3x3.block', 'red_1x1.block'),
    block='.1',
    conv_norm=('conv', 'norm'),
    local='local_rep.conv_3x3.block',
    from_tokens='conv_proj.block',
    fuse='fusion.block',
    to_tokens='local_rep.conv_1x1.block.conv',
    norm=f'global_rep.{NUMBER}',
    encoder=(
        (f'global_rep.{ENCODER}.pre_norm_mha.0', 'norm1'),
        (f'global_rep.{ENCODER}.pre_norm_mha.1.qkv_proj', 'attn.qkv'),
        (f'global_rep.{ENCODER}.pre_norm_mha.1.out_proj', 'attn.proj'),
        (f'global_rep.{ENCODER}.pre_norm_ffn.0', 'norm2'),
        (f'global_rep.{ENCODER}.pre_norm_ffn.1', 'ffn.0'),
        (f'global_rep.{ENCODER}.pre_norm_ffn.4', 'ffn.2'),
    ),
)
TIMM = _Names(
    stem='stem',
    layers=('stages.0', 'stages.1', 'stages.2', 'stages.3', 'stages.4'),
    residual=f'.{BLOCK}',
    first_residual='.0',
    residual_parts=('conv1_1x1', 'conv2_kxk', 'conv3_1x1'),
    block='.1',
    conv_norm=('conv', 'bn'),
    local='conv_kxk',
    from_tokens='conv_proj',
    fuse='conv_fusion',
    to_tokens='conv_1x1',
    norm='norm',
    encoder=(
        (f'transformer.{ENCODER}.norm1', 'norm1'),
        (f'transformer.{ENCODER}.attn.qkv', 'attn.qkv'),
        (f'transformer.{ENCODER}.attn.proj', 'attn.proj'),
        (f'transformer.{ENCODER}.norm2', 'norm2'),
        (f'transformer.{ENCODER}.mlp.fc1', 'ffn.0'),
        (f'transformer.{ENCODER}.mlp.fc2', 'ffn.2'),
    ),
)
TIMM_FEATURES = TIMM._replace(
    layers=('stages_0', 'stages_1', 'stages_2', 'stages_3', 'stages_4')
)
HUGGING_FACE = _Names(
    stem='conv_stem',
    layers=(
        'encoder.layer.0',
        'encoder.layer.1',
        'encoder.layer.2',
        'encoder.layer.3',
        'encoder.layer.4',
    ),
    residual=f'.layer.{BLOCK}',
    first_residual='.downsampling_layer',
    residual_parts=('expand_1x1', 'conv_3x3', 'reduce_1x1'),
    block='',
    conv_norm=('convolution', 'normalization'),
    local='conv_kxk',
    from_tokens='conv_projection',
    fuse='fusion',
    to_tokens='conv_1x1.convolution',
    norm='layernorm',
    encoder=(
        (f'transformer.layer.{ENCODER}.layernorm_before', 'norm1'),
        (f'transformer.layer.{ENCODER}.attention.attention.qkv', 'attn.qkv'),
        (f'transformer.layer.{ENCODER}.attention.output.dense', 'attn.proj'),
        (f'transformer.layer.{ENCODER}.layernorm_after', 'norm2'),
        (f'transformer.layer.{ENCODER}.intermediate.dense', 'ffn.0'),
        (f'transformer.layer.{ENCODER}.output.dense', 'ffn.2'),
    ),
)
MMPRETRAIN = _Names(
    stem='stem',
    layers=('layers.0', 'layers.1', 'layers.2', 'layers.3', 'layers.4'),
    residual=f'.{BLOCK}.conv',
    first_residual='.0.conv',
    residual_parts=('0', '1', '2'),
    block='.1',
    conv_norm=('conv', 'bn'),
    local='local_rep.0',
    from_tokens='conv_proj',
    fuse='conv_fusion',
    to_tokens='local_rep.1.conv',
    norm=f'global_rep.{NUMBER}',
    encoder=(
        (f'global_rep.{ENCODER}.ln1', 'norm1'),
        (f'global_rep.{ENCODER}.attn.qkv', 'attn.qkv'),
        (f'global_rep.{ENCODER}.attn.proj', 'attn.proj'),
        (f'global_rep.{ENCODER}.ln2', 'norm2'),
        (f'global_rep.{ENCODER}.ffn.layers.0.0', 'ffn.0'),
        (f'global_rep.{ENCODER}.ffn.layers.1', 'ffn.2'),
    ),
)


class HuggingFaceLayout(Layout):
    """The one layout that keeps query, key and value apart."""

    split = ('query', 'key', 'value')

    def to_own(
        self, state: Mapping[str, Tensor], target: Target | None = None
    ) -> tuple[StateDict, list[str]]:
        """Stack the rows of query, key and value, then rename."""
        stacked = dict(state)
        for key in state:
            if '.attention.attention.query.' in key:
                parts = [key.replace('.query.', f'.{p}.') for p in self.split]
                joined = [stacked.pop(p) for p in parts if p in stacked]
                stacked[key.replace('.query.', '.qkv.')] = torch.cat(joined)
        return super().to_own(stacked, target)


def _layout(
    name: str,
    names: _Names,
    markers: tuple[str, ...],
    cls: type = Layout,
) -> Layout:
    return cls(name, markers, backbone_rules(names), CLASSIFIER)


LAYOUTS = (
    _layout(
        'cvnets',
        CVNETS,
        (
            'conv_1.block.conv.weight',
            'layer_1.0.block.exp_1x1.block.conv.weight',
        ),
    ),
    _layout(
        'timm', TIMM, ('stem.conv.weight', 'stages.0.0.conv1_1x1.conv.weight')
    ),
    _layout(
        'timm features_only',
        TIMM_FEATURES,
        ('stem.conv.weight', 'stages_0.0.conv1_1x1.conv.weight'),
    ),
    _layout(
        'Hugging Face',
        HUGGING_FACE,
        ('conv_stem.convolution.weight',),
        HuggingFaceLayout,
    ),
    _layout(
        'mmpretrain',
        MMPRETRAIN,
        ('stem.conv.weight', 'layers.0.0.conv.0.conv.weight'),
    ),
)
