"""EMO's official layout, and that of the port in the style of timm.

``stage0`` of the official code is our stem, ``stage1`` to ``stage4`` are our
stages 0 to 3. Classifier, detection and segmentation code use the same keys.
"""

import re
from collections.abc import Iterator
from functools import partial

from .layout import BLOCK, PARAMETER, Layout, Rule

CLASSIFIER = ('norm.', 'pre_head.', 'head.')
STAGES = range(4)


def _second(match: re.Match[str]) -> str:
    """Find the number of a block that is counted from the second one on."""
    return str(int(match['b']) + 1)


def _renumber(ours: str, match: re.Match[str]) -> str:
    return f'stages.{match["s"]}.{_second(match)}.{ours}.{match["p"]}'


def _official_rules() -> Iterator[Rule]:
    for theirs, ours in (
        ('stage0.0.convs.0.0', '0.conv'),
        ('stage0.0.convs.0.1', '0.norm'),
        ('stage0.1.conv_local.conv', '1.conv'),
        ('stage0.1.conv_local.norm', '1.norm'),
        ('stage0.1.se.conv_reduce', '2.reduce.conv'),
        ('stage0.1.se.conv_expand', '2.expand'),
        ('stage0.1.proj.conv', '3'),
    ):
        yield f'{theirs}.{PARAMETER}', rf'stem.{ours}.\g<p>'
    yield from stage_rules(('qk.conv', 'query_key'), ('v.conv', 'value.conv'))


def stage_rules(*expansion: tuple[str, str]) -> Iterator[Rule]:
    """Yield what the official EMO and EMOv2 name alike in a block.

    Args:
        *expansion: Official and our names of what else there is.
    """
    names = (
        ('norm', 'norm'),
        ('norm.norm', 'norm'),  # of a layer norm
        *expansion,
        ('conv_local.conv', 'depthwise.conv'),
        ('conv_local.norm', 'depthwise.norm'),
        ('proj.conv', 'project'),
    )
    for stage in STAGES:
        for theirs, ours in names:
            yield (
                f'stage{stage + 1}.{BLOCK}.{theirs}.{PARAMETER}',
                rf'stages.{stage}.\g<b>.{ours}.\g<p>',
            )


def _timm_rules() -> Iterator[Rule]:
    for theirs, ours in (
        ('patch_embed.0', '0.conv'),
        ('patch_embed.1', '0.norm'),
        ('patch_embed.2', '1.conv'),
        ('patch_embed.3', '1.norm'),
        ('patch_embed.5.fc1', '2.reduce.conv'),
        ('patch_embed.5.fc2', '2.expand'),
        ('patch_embed.7', '3'),
    ):
        yield f'{theirs}.{PARAMETER}', rf'stem.{ours}.\g<p>'
    for theirs, ours in (
        ('norm', 'norm'),
        ('qk', 'query_key'),
        ('v.0', 'value.conv'),
        ('conv_local.0', 'depthwise.conv'),
        ('conv_local.1', 'depthwise.norm'),
        ('proj', 'project'),
    ):
        yield (
            rf'stages.(?P<s>\d+).downsample.{theirs}.{PARAMETER}',
            rf'stages.\g<s>.0.{ours}.\g<p>',
        )
        yield (
            rf'stages.(?P<s>\d+).blocks.{BLOCK}.{theirs}.{PARAMETER}',
            partial(_renumber, ours),
        )


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        'official',
        ('stage0.0.convs.0.0.weight', 'stage0.1.se.conv_reduce.weight'),
        _official_rules(),
        CLASSIFIER,
    ),
    Layout(
        'timm style',
        (
            'patch_embed.5.fc1.weight',
            'stages.0.downsample.conv_local.0.weight',
        ),
        _timm_rules(),
        CLASSIFIER,
    ),
)
