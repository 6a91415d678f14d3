"""T2T-ViT's layouts: the official one, and mmpretrain's.

The two token layers of the official code are our stages 0 and 1, the blocks
and what stands before and after them stage 2, whose parts have their official
names. mmpretrain has the networks with transformer tokens only.
"""

from collections.abc import Iterator

from .layout import ANY, BLOCK, PARAMETER, Layout, Rule

CLASSIFIER = ('head.', 'aux_head.')
PROJECT = 'tokens_to_token.project.weight'


def _trunk_rules() -> Iterator[Rule]:
    yield '(?P<name>cls_token|pos_embed)', r'stages.2.\g<name>'
    yield f'tokens_to_token.project.{PARAMETER}', r'stages.2.project.\g<p>'
    yield f'norm.{PARAMETER}', r'stages.2.norm.\g<p>'


def _official_rules() -> Iterator[Rule]:
    yield from _trunk_rules()
    yield f'tokens_to_token.attention1.{ANY}', r'stages.0.\g<rest>'
    yield f'tokens_to_token.attention2.{ANY}', r'stages.1.\g<rest>'
    yield f'blocks.{ANY}', r'stages.2.blocks.\g<rest>'


def _mmpretrain_rules() -> Iterator[Rule]:
    yield from _trunk_rules()
    for theirs, ours in (
        ('tokens_to_token.attention1', 'stages.0'),
        ('tokens_to_token.attention2', 'stages.1'),
        (f'encoder.{BLOCK}', r'stages.2.blocks.\g<b>'),
    ):
        for their_part, our_part in (
            ('ln1', 'norm1'),
            ('attn.qkv', 'attn.qkv'),
            ('attn.proj', 'attn.proj'),
            ('ln2', 'norm2'),
            ('ffn.layers.0.0', 'mlp.fc1'),
            ('ffn.layers.1', 'mlp.fc2'),
        ):
            yield (
                f'{theirs}.{their_part}.{PARAMETER}',
                rf'{ours}.{our_part}.\g<p>',
            )


LAYOUTS = (
    Layout(
        'official',
        (PROJECT, 'blocks.0.norm1.weight'),
        _official_rules(),
        ignored=CLASSIFIER,
    ),
    Layout(
        'mmpretrain',
        (PROJECT, 'encoder.0.ln1.weight'),
        _mmpretrain_rules(),
        CLASSIFIER,
    ),
)
