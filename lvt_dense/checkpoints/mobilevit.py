"""MobileViT's official layouts: cvnets, timm, Hugging Face, mmpretrain.

The stem and ``layer_1`` of the official code are our stem; ``layer_2`` to
``layer_5`` are our stages 0 to 3, the last three with a transformer block.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .layout import Layout, StateDict, Target

DEPTHS = {3: 2, 4: 4, 5: 3}  # encoders of an official layer
RESIDUAL = ('expand', 'depthwise', 'project')
CLASSIFIER = ('classifier.', 'head.', 'conv_1x1_exp.', 'final_conv.')


class _Names(NamedTuple):
    """What one code base calls the parts; ``{s}`` is 1 for ``layer_1``."""

    stem: str
    residual: str  # before the layers of an inverted residual
    first_residual: str  # the same in a layer with a transformer block
    residual_layers: tuple[str, str, str]
    block: str  # before the parts of a transformer block
    conv_norm: tuple[str, str]
    parts: dict[str, str]  # our part of a transformer block -> theirs
    encoder: dict[str, str]  # our part of an encoder -> theirs


def backbone_pairs(names: _Names) -> Iterator[tuple[str, str]]:
    def both(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
        for their_layer, our_layer in zip(names.conv_norm, ('conv', 'norm')):
            yield f'{theirs}.{their_layer}.{{p}}', f'{ours}.{our_layer}.{{p}}'

    yield from both(names.stem, 'stem.0')
    for layer in range(1, 6):
        has_block = layer in DEPTHS
        own = f'stages.{layer - 2}.{{b}}' if layer > 1 else 'stem.1'
        theirs = names.first_residual if has_block else names.residual
        theirs = theirs.replace('{s}', str(layer)).replace(
            '{s-1}', str(layer - 1)
        )
        if layer == 1 or has_block:  # a single residual, the first block
            theirs, own = theirs.replace('{b}', '0'), own.replace('{b}', '0')
        for their_name, our_name in zip(names.residual_layers, RESIDUAL):
            yield from both(f'{theirs}.{their_name}', f'{own}.{our_name}')
        if has_block:
            yield from _block_pairs(names, layer, both)


def _block_pairs(names: _Names, layer: int, both) -> Iterator[tuple[str, str]]:
    theirs = names.block.replace('{s}', str(layer)).replace(
        '{s-1}', str(layer - 1)
    )
    own = f'stages.{layer - 2}.1'
    for part in ('local', 'from_tokens', 'fuse'):
        yield from both(f'{theirs}.{names.parts[part]}', f'{own}.{part}')
    yield (
        f'{theirs}.{names.parts["to_tokens"]}.weight',
        f'{own}.to_tokens.weight',
    )
    norm = names.parts['norm'].replace('{L}', str(DEPTHS[layer]))
    yield f'{theirs}.{norm}.{{p}}', f'{own}.norm.{{p}}'
    for part, their_part in names.encoder.items():
        yield (
            f'{theirs}.{their_part}.{{p}}',
            f'{own}.encoders.{{i}}.{part}.{{p}}',
        )


CVNETS = _Names(
    stem='conv_1.block',
    residual='layer_{s}.{b}.block',
    first_residual='layer_{s}.{b}.block',
    residual_layers=('exp_1x1.block', 'conv_3x3.block', 'red_1x1.block'),
    block='layer_{s}.1',
    conv_norm=('conv', 'norm'),
    parts=dict(
        local='local_rep.conv_3x3.block',
        to_tokens='local_rep.conv_1x1.block.conv',
        norm='global_rep.{L}',
        from_tokens='conv_proj.block',
        fuse='fusion.block',
    ),
    encoder={
        'norm1': 'global_rep.{i}.pre_norm_mha.0',
        'attn.qkv': 'global_rep.{i}.pre_norm_mha.1.qkv_proj',
        'attn.proj': 'global_rep.{i}.pre_norm_mha.1.out_proj',
        'norm2': 'global_rep.{i}.pre_norm_ffn.0',
        'ffn.0': 'global_rep.{i}.pre_norm_ffn.1',
        'ffn.2': 'global_rep.{i}.pre_norm_ffn.4',
    },
)
TIMM = _Names(
    stem='stem',
    residual='stages.{s-1}.{b}',
    first_residual='stages.{s-1}.{b}',
    residual_layers=('conv1_1x1', 'conv2_kxk', 'conv3_1x1'),
    block='stages.{s-1}.1',
    conv_norm=('conv', 'bn'),
    parts=dict(
        local='conv_kxk',
        to_tokens='conv_1x1',
        norm='norm',
        from_tokens='conv_proj',
        fuse='conv_fusion',
    ),
    encoder={
        'norm1': 'transformer.{i}.norm1',
        'attn.qkv': 'transformer.{i}.attn.qkv',
        'attn.proj': 'transformer.{i}.attn.proj',
        'norm2': 'transformer.{i}.norm2',
        'ffn.0': 'transformer.{i}.mlp.fc1',
        'ffn.2': 'transformer.{i}.mlp.fc2',
    },
)
TIMM_FEATURES = TIMM._replace(
    residual='stages_{s-1}.{b}',
    first_residual='stages_{s-1}.{b}',
    block='stages_{s-1}.1',
)
HUGGING_FACE = _Names(
    stem='conv_stem',
    residual='encoder.layer.{s-1}.layer.{b}',
    first_residual='encoder.layer.{s-1}.downsampling_layer',
    residual_layers=('expand_1x1', 'conv_3x3', 'reduce_1x1'),
    block='encoder.layer.{s-1}',
    conv_norm=('convolution', 'normalization'),
    parts=dict(
        local='conv_kxk',
        to_tokens='conv_1x1.convolution',
        norm='layernorm',
        from_tokens='conv_projection',
        fuse='fusion',
    ),
    encoder={
        'norm1': 'transformer.layer.{i}.layernorm_before',
        'attn.qkv': 'transformer.layer.{i}.attention.attention.qkv',
        'attn.proj': 'transformer.layer.{i}.attention.output.dense',
        'norm2': 'transformer.layer.{i}.layernorm_after',
        'ffn.0': 'transformer.layer.{i}.intermediate.dense',
        'ffn.2': 'transformer.layer.{i}.output.dense',
    },
)
MMPRETRAIN = _Names(
    stem='stem',
    residual='layers.{s-1}.{b}.conv',
    first_residual='layers.{s-1}.{b}.conv',
    residual_layers=('0', '1', '2'),
    block='layers.{s-1}.1',
    conv_norm=('conv', 'bn'),
    parts=dict(
        local='local_rep.0',
        to_tokens='local_rep.1.conv',
        norm='global_rep.{L}',
        from_tokens='conv_proj',
        fuse='conv_fusion',
    ),
    encoder={
        'norm1': 'global_rep.{i}.ln1',
        'attn.qkv': 'global_rep.{i}.attn.qkv',
        'attn.proj': 'global_rep.{i}.attn.proj',
        'norm2': 'global_rep.{i}.ln2',
        'ffn.0': 'global_rep.{i}.ffn.layers.0.0',
        'ffn.2': 'global_rep.{i}.ffn.layers.1',
    },
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

    def to_official(self, own: Mapping[str, Tensor]) -> StateDict:
        """Rename, then cut query, key and value apart."""
        official = super().to_official(own)
        for key in [k for k in official if '.attention.qkv.' in k]:
            thirds = official.pop(key).chunk(3)
            for part, value in zip(self.split, thirds):
                official[key.replace('.qkv.', f'.{part}.')] = value
        return official


def _layout(
    name: str,
    names: _Names,
    markers: tuple[str, ...],
    cls: type = Layout,
) -> Layout:
    return cls(name, markers, backbone_pairs(names), CLASSIFIER)


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
