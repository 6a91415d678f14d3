"""T2T-ViT's layouts: the official one, and mmpretrain's.

The two token layers of the official code are our stages 0 and 1, the blocks
and what stands before and after them stage 2, whose parts have their official
names. mmpretrain has the networks with transformer tokens only.
"""

from collections.abc import Iterator

from .layout import Layout

CLASSIFIER = ('head.', 'aux_head.')
PROJECT = 'tokens_to_token.project.weight'


def _trunk_pairs() -> Iterator[tuple[str, str]]:
    for name in ('cls_token', 'pos_embed'):
        yield name, f'stages.2.{name}'
    yield 'tokens_to_token.project.{p}', 'stages.2.project.{p}'
    yield 'norm.{p}', 'stages.2.norm.{p}'


def _official_pairs() -> Iterator[tuple[str, str]]:
    yield from _trunk_pairs()
    yield 'tokens_to_token.attention1.{rest}', 'stages.0.{rest}'
    yield 'tokens_to_token.attention2.{rest}', 'stages.1.{rest}'
    yield 'blocks.{rest}', 'stages.2.blocks.{rest}'


def _mmpretrain_pairs() -> Iterator[tuple[str, str]]:
    yield from _trunk_pairs()
    for theirs, ours in (
        ('tokens_to_token.attention1', 'stages.0'),
        ('tokens_to_token.attention2', 'stages.1'),
        ('encoder.{i}', 'stages.2.blocks.{i}'),
    ):
        for their_part, our_part in (
            ('ln1', 'norm1'),
            ('attn.qkv', 'attn.qkv'),
            ('attn.proj', 'attn.proj'),
            ('ln2', 'norm2'),
            ('ffn.layers.0.0', 'mlp.fc1'),
            ('ffn.layers.1', 'mlp.fc2'),
        ):
            yield f'{theirs}.{their_part}.{{p}}', f'{ours}.{our_part}.{{p}}'


LAYOUTS = (
    Layout(
        'official',
        (PROJECT, 'blocks.0.norm1.weight'),
        _official_pairs(),
        ignored=CLASSIFIER,
    ),
    Layout(
        'mmpretrain',
        (PROJECT, 'encoder.0.ln1.weight'),
        _mmpretrain_pairs(),
        CLASSIFIER,
    ),
)
