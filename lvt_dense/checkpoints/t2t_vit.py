"""T2T-ViT's layouts: the official one, and mmpretrain's.

The two token layers of the official code are our stages 0 and 1, the blocks
and what stands before and after them stage 2, whose parts have their official
names. mmpretrain has the networks with transformer tokens only.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from .layout import Layout, StateDict

CLASSIFIER = ('head.', 'aux_head.')
PROJECT = 'tokens_to_token.project.weight'
GRID_SIDE = 14  # of the tokens of an image of 224 pixels


def sinusoid_table(length: int, channels: int) -> Tensor:
    """Sine and cosine of every position at falling frequencies.

    Source: A. Vaswani et al., "Attention Is All You Need", Section 3.5.

    Returns:
        (1, length, channels), sines at the even channels.
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]
    channel = torch.arange(channels)
    exponent = (channel - channel % 2).double() / channels
    angle = position / 10000**exponent
    table = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return table[None].float()


class _Layout(Layout):
    """Fills in the table of positions, which is the same in every file."""

    def to_own(
        self, state: Mapping[str, Tensor], settings: dict | None = None
    ) -> tuple[StateDict, list[str]]:
        """Rename, and make the table where a file was saved without it."""
        own, unknown = super().to_own(state, settings)
        if 'stages.2.cls_token' in own and 'stages.2.pos_embed' not in own:
            channels = own['stages.2.cls_token'].shape[-1]
            table = sinusoid_table(1 + GRID_SIDE**2, channels)
            own['stages.2.pos_embed'] = table
        return own, unknown


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
    _Layout(
        'official',
        (PROJECT, 'blocks.0.norm1.weight'),
        _official_pairs(),
        ignored=CLASSIFIER,
    ),
    _Layout(
        'mmpretrain',
        (PROJECT, 'encoder.0.ln1.weight'),
        _mmpretrain_pairs(),
        ('', 'backbone.'),
        CLASSIFIER,
    ),
)
