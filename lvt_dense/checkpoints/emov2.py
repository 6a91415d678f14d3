"""EMOv2's official layout.

Classifier, detection and segmentation code use the same keys. They differ
from EMO's in the stem and in the expansion, which is called ``eops.0``.
"""

from collections.abc import Iterator

from .emo import CLASSIFIER, STAGES, stage_rules
from .layout import BLOCK, PARAMETER, Layout, Rule

LATER_BLOCK = r'(?P<b>[1-9]\d*)'  # any but the first of a stage


def _rules() -> Iterator[Rule]:
    for theirs, ours in (
        ('0.conv', '0.conv'),
        ('0.norm', '0.norm'),
        ('1.conv', '1.conv'),
        ('1.norm', '1.norm'),
        ('2.conv', '2'),
    ):
        yield f'stage0.{theirs}.{PARAMETER}', rf'stem.{ours}.\g<p>'
    yield from stage_rules()
    for stage in STAGES:
        theirs, ours = f'stage{stage + 1}', f'stages.{stage}'
        value = r'value.conv.\g<p>'
        if stage < 2:
            yield (
                f'{theirs}.{BLOCK}.eops.0.net.conv.{PARAMETER}',
                rf'{ours}.\g<b>.{value}',
            )
        else:
            # the first block of a stage has no attention
            yield (
                f'{theirs}.0.eops.0.net.conv.{PARAMETER}',
                rf'{ours}.0.{value}',
            )
            for operator, name in (('qk', 'query_key'), ('v', 'value.conv')):
                yield (
                    f'{theirs}.{LATER_BLOCK}.eops.0.{operator}.conv.'
                    f'{PARAMETER}',
                    rf'{ours}.\g<b>.{name}.\g<p>',
                )
        yield f'{theirs}.{BLOCK}.ls.gamma', rf'{ours}.\g<b>.layer_scale'


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        'official',
        ('stage0.2.conv.weight', 'stage1.0.eops.0.net.conv.weight'),
        _rules(),
        CLASSIFIER,
    ),
)
