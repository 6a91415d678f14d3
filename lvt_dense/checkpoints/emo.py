"""EMO's official layout, and that of the port in the style of timm.

``stage0`` of the official code is our stem, ``stage1`` to ``stage4`` are our
stages 0 to 3. Classifier, detection and segmentation code use the same keys.
"""

from collections.abc import Iterator
from typing import NamedTuple

from .layout import Layout

CLASSIFIER = ('norm.', 'pre_head.', 'head.')
LAYER_NORM_STAGES = (2, 3)
MAX_DEPTH = 9  # of the published variants


class _Names(NamedTuple):
    """What one code base calls the parts; ``{s}`` is 1 for ``stage1``."""

    stem: tuple[tuple[str, str], ...]  # theirs, ours
    first_block: str
    block: str  # ``{b-1}`` counts from the second block
    layer_norm: str
    parts: tuple[tuple[str, str], ...]  # theirs, ours


def _pairs(names: _Names) -> Iterator[tuple[str, str]]:
    for theirs, ours in names.stem:
        yield f'{theirs}.{{p}}', f'stem.{ours}.{{p}}'
    for stage in range(4):
        has_layer_norm = stage in LAYER_NORM_STAGES
        norm = names.layer_norm if has_layer_norm else 'norm'
        for block in range(MAX_DEPTH):
            theirs = names.block if block else names.first_block
            for field, value in (
                ('{s-1}', stage),
                ('{s}', stage + 1),
                ('{b-1}', block - 1),
                ('{b}', block),
            ):
                theirs = theirs.replace(field, str(value))
            for their_part, our_part in ((norm, 'norm'), *names.parts):
                yield (
                    f'{theirs}.{their_part}.{{p}}',
                    f'stages.{stage}.{block}.{our_part}.{{p}}',
                )


OFFICIAL = _Names(
    stem=(
        ('stage0.0.convs.0.0', '0.conv'),
        ('stage0.0.convs.0.1', '0.norm'),
        ('stage0.1.conv_local.conv', '1.conv'),
        ('stage0.1.conv_local.norm', '1.norm'),
        ('stage0.1.se.conv_reduce', '2.reduce.conv'),
        ('stage0.1.se.conv_expand', '2.expand'),
        ('stage0.1.proj.conv', '3'),
    ),
    first_block='stage{s}.{b}',
    block='stage{s}.{b}',
    layer_norm='norm.norm',
    parts=(
        ('qk.conv', 'query_key'),
        ('v.conv', 'value.conv'),
        ('conv_local.conv', 'depthwise.conv'),
        ('conv_local.norm', 'depthwise.norm'),
        ('proj.conv', 'project'),
    ),
)
TIMM = _Names(
    stem=(
        ('patch_embed.0', '0.conv'),
        ('patch_embed.1', '0.norm'),
        ('patch_embed.2', '1.conv'),
        ('patch_embed.3', '1.norm'),
        ('patch_embed.5.fc1', '2.reduce.conv'),
        ('patch_embed.5.fc2', '2.expand'),
        ('patch_embed.7', '3'),
    ),
    first_block='stages.{s-1}.downsample',
    block='stages.{s-1}.blocks.{b-1}',
    layer_norm='norm',
    parts=(
        ('qk', 'query_key'),
        ('v.0', 'value.conv'),
        ('conv_local.0', 'depthwise.conv'),
        ('conv_local.1', 'depthwise.norm'),
        ('proj', 'project'),
    ),
)

LAYOUTS = (
    Layout(
        'official',
        ('stage0.0.convs.0.0.weight', 'stage0.1.se.conv_reduce.weight'),
        _pairs(OFFICIAL),
        CLASSIFIER,
    ),
    Layout(
        'timm style',
        (
            'patch_embed.5.fc1.weight',
            'stages.0.downsample.conv_local.0.weight',
        ),
        _pairs(TIMM),
        CLASSIFIER,
    ),
)
