"""NASViT's official layouts: the supernet, and a static sub-network.

The official code numbers all blocks in one list. ``first_conv`` and mb1 are
our stem, mb2, mb3 and mb4 our stages 0 to 2, mb5 and mb6 our stage 3, and mb7
our stage 4. The supernet's tensors have the largest width, depth and kernel;
a sub-network is a slice of them (paper's code, ``get_active_subnet``).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lvt_dense.utils.errors import UserError

from .layout import BLOCK, PARAMETER, Layout, Rule, StateDict, Target

MAX_DEPTHS = (2, 5, 6, 6, 9, 8, 6)  # of mb1 to mb7 in the supernet
ATTENTION_STRIDES = {4: 16, 5: 32, 6: 32, 7: 64}
CLASSIFIER = ('last_conv.', 'classifier.')
# Derived from other tensors, or left over from training.
_UNUSED = re.compile(
    r'\.bn_tracking\.|relative_position_index$'
    r'|\.mobile_inverted_conv\.rescale$'
)
_MBCONV = {
    'inverted_bottleneck': 'expand',
    'depth_conv': 'depthwise',
    'point_linear': 'project',
}
_TRANSFORMER = {
    'norm1': 'norm1',
    'norm2': 'norm2',
    'norm3': 'norm3',
    'attn.q.linear': 'attn.query',
    'attn.k.linear': 'attn.key',
    'attn.v.linear': 'attn.value',
    'attn.vconv': 'attn.value_conv',
    'attn.proj_l.linear': 'attn.talk_logits',
    'attn.proj_w.linear': 'attn.talk_weights',
    'attn.proj.linear': 'attn.proj',
    'mlp1.linear1.linear': 'mlp1.0',
    'mlp1.linear2.linear': 'mlp1.2',
    'mlp2.linear1.linear': 'mlp2.0',
    'mlp2.linear2.linear': 'mlp2.2',
}
_TABLES = {
    'attn.relative_position_bias_table': 'attn.position_table',
    'rescale_attn': 'scale_attn',
    'rescale_mlp': 'scale_mlp',
}
_SPLIT = ('.query.', '.key.')  # officially apart, with us one linear layer
_JOINT = '.query_key.'
_TABLE_ROWS = (10, 8)  # depth, tokens modulo 8


def _rules(conv: str, norm: str) -> Iterator[Rule]:
    """Yield rules by which blocks keep their official number."""
    block, own = f'blocks.{BLOCK}', r'blocks.\g<b>'
    mbconv = f'{block}.mobile_inverted_conv'
    for theirs, ours in (
        ('first_conv', 'stem.0'),
        *((f'{mbconv}.{a}', f'{own}.{b}') for a, b in _MBCONV.items()),
    ):
        yield f'{theirs}.{conv}.weight', f'{ours}.conv.weight'
        yield f'{theirs}.{norm}.{PARAMETER}', rf'{ours}.norm.\g<p>'
    gate = f'{mbconv}.depth_conv.se.fc'
    yield f'{gate}.reduce.{PARAMETER}', rf'{own}.se.reduce.conv.\g<p>'
    yield f'{gate}.expand.{PARAMETER}', rf'{own}.se.expand.\g<p>'
    yield f'{block}.shortcut.{conv}.weight', f'{own}.shortcut.weight'
    for theirs, ours in _TRANSFORMER.items():
        yield f'{block}.{theirs}.{PARAMETER}', rf'{own}.{ours}.\g<p>'
    for theirs, ours in _TABLES.items():
        yield f'{block}.{theirs}', f'{own}.{ours}'


class NASViTLayout(Layout):
    """Cuts a sub-network out of the official tensors.

    Args:
        name: See :class:`Layout`, as the next one.
        markers: See above.
        conv: What stands before ``weight`` in the key of a convolution.
        norm: The same for batch norm.
        is_supernet: Whether blocks are numbered as in the supernet, and every
            tensor may be larger than the sub-network's. In a static file only
            the transformer blocks may.
    """

    def __init__(
        self,
        name: str,
        markers: Sequence[str],
        conv: str,
        norm: str,
        is_supernet: bool,
    ) -> None:
        super().__init__(name, markers, _rules(conv, norm), CLASSIFIER)
        self.is_supernet = is_supernet

    def to_own(
        self, state: Mapping[str, Tensor], target: Target | None = None
    ) -> tuple[StateDict, list[str]]:
        """Rename, and take the slices of the sub-network ``target``.

        Raises:
            UserError: There is no target.
        """
        if target is None:
            raise UserError(
                f'the {self.name} layout of NASViT holds more than one '
                'network: name a sub-network'
            )
        used = {k: v for k, v in state.items() if not _UNUSED.search(k)}
        official, unknown = super().to_own(used)
        settings = target.settings
        blocks = self.blocks(settings['depth'])
        own = {}
        for key, value in official.items():
            if not key.startswith('blocks.'):
                own[key] = value
                continue
            _, number, rest = key.split('.', 2)
            if int(number) in blocks:
                place, part = blocks[int(number)]
                if rest.startswith('scale_'):
                    value = value[_scaling_row(settings, part)]
                own[f'{place}.{rest}'] = value
            elif not self.is_supernet:
                unknown.append(key)
        return self._cut(own, target.shapes), unknown

    def blocks(self, depths: Sequence[int]) -> dict[int, tuple[str, int]]:
        """Find place with us and stage mbK of every official number."""
        blocks, first = {}, 0
        for part, (depth, most) in enumerate(zip(depths, MAX_DEPTHS), 1):
            held = min(depth, most) if self.is_supernet else depth
            for i in range(held):
                blocks[first + i] = (_place(part, i, depths), part)
            first += most if self.is_supernet else depth
        return blocks

    def _cut(
        self, own: StateDict, shapes: Mapping[str, torch.Size]
    ) -> StateDict:
        """Cut out slices of the wanted shapes.

        Tensors of stages that the target has not built stay as they are.
        """
        cut, rest = {}, dict(own)
        for key, shape in shapes.items():
            parts = [key]
            if _JOINT in key:
                parts = [key.replace(_JOINT, part) for part in _SPLIT]
                shape = torch.Size((shape[0] // 2, *shape[1:]))
            if all(part in own for part in parts):
                tensors = [rest.pop(part) for part in parts]
                if self.is_supernet or _is_transformer(key):
                    tensors = [_slice(tensor, shape) for tensor in tensors]
                # Copies: a slice would keep the supernet's memory.
                cut[key] = (
                    torch.cat(tensors) if parts[1:] else tensors[0].clone()
                )
        stages = {_stage(key) for key in shapes}
        others = {k: v for k, v in rest.items() if _stage(k) not in stages}
        return cut | others


def _stage(key: str) -> str:
    """Find our stage, such as ``stages.3``, of one of our keys."""
    return '.'.join(key.split('.')[: 1 if key.startswith('stem') else 2])


def _place(part: int, block: int, depths: Sequence[int]) -> str:
    """Find our prefix of a block of an official stage."""
    if part == 1:
        return f'stem.{block + 1}'
    if part == 6:  # follows mb5 in the same stage
        block += depths[4]
    return f'stages.{min(part - 2, 3) + (part == 7)}.{block}'


def _scaling_row(settings: Mapping[str, Any], part: int) -> tuple[int, int]:
    """Find the row of a scaling table that a sub-network was trained with.

    The official code finds it by the blocks of the stage and the number of
    tokens modulo 8; the latter follows from the training resolution.
    """
    side = -(-settings['resolution'] // ATTENTION_STRIDES[part])
    depth = min(settings['depth'][part - 1], _TABLE_ROWS[0] - 1)
    return depth, side * side % _TABLE_ROWS[1]


def _is_transformer(key: str) -> bool:
    parts = ('.norm1.', '.norm2.', '.norm3.', '.attn.', '.mlp', '.scale_')
    return any(part in key for part in parts)


def _slice(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Cut out the first channels, and the center of a kernel."""
    for axis, size in enumerate(shape):
        excess = max(value.shape[axis] - size, 0)
        first = excess // 2 if axis > 1 else 0
        value = value.narrow(axis, first, value.shape[axis] - excess)
    return value


LAYOUTS = (
    NASViTLayout(
        'official supernet',
        (
            'first_conv.conv.conv.weight',
            'blocks.0.mobile_inverted_conv.depth_conv.conv.conv.weight',
        ),
        conv='conv.conv',
        norm='bn.bn',
        is_supernet=True,
    ),
    NASViTLayout(
        'official static',
        (
            'first_conv.conv.weight',
            'blocks.0.mobile_inverted_conv.depth_conv.conv.weight',
        ),
        conv='conv',
        norm='bn',
        is_supernet=False,
    ),
)
