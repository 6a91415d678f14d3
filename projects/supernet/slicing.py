"""Which part of a supernet's tensor a sub-network uses.

A sub-network has the first channels of every layer, the first blocks of every
stage and the center of every kernel. Its tensors have the names and shapes of
the plain model with that backbone, so that a slice of the supernet's state is
a state of that model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lvt_dense.models.backbones.nasvit import PARTS
from lvt_dense.utils.errors import UserError

from .space import Arch, SearchSpace

BACKBONE = 'backbone.'
_JOINT = '.query_key.'
SCALES = ('scale_attn', 'scale_mlp')
Range = tuple[int, int]


@dataclass(frozen=True)
class Slice:
    """A part of a tensor.

    Attributes:
        source: Name of the tensor in the supernet.
        ranges: By axis, the parts that are put side by side; an axis that is
            not listed is whole.
        row: Row of a table to take first; ``None`` for other tensors.
    """

    source: str
    ranges: Mapping[int, tuple[Range, ...]]
    row: int | None = None

    def cut(self, state: Mapping[str, Tensor]) -> Tensor:
        """Cut the part out of a state; a view where it is a single one."""
        value = state[self.source]
        if self.row is not None:
            value = value[self.row]
        for axis, ranges in self.ranges.items():
            parts = [value.narrow(axis, a, b - a) for a, b in ranges]
            value = parts[0] if len(parts) == 1 else torch.cat(parts, axis)
        return value


def plan_slices(
    subnet: Mapping[str, Tensor],
    supernet: Mapping[str, Tensor],
    arch: Arch,
    space: SearchSpace,
    channels: Sequence[tuple[int, int]],
    readers: Mapping[str, Sequence[int]],
) -> dict[str, Slice]:
    """Find the slice of every tensor of a sub-network.

    Args:
        subnet: State of the plain model, for its names and shapes.
        supernet: State of the supernet.
        arch: The sub-network.
        space: The space that it is in.
        channels: Channels of each returned level, of the supernet and of the
            sub-network.
        readers: Channels, in the supernet, of the levels that necks and heads
            read, by the beginning of their tensors' names.

    Raises:
        UserError: A tensor of neck or heads is no part of the supernet's.
    """
    slices = {}
    for name, value in subnet.items():
        if not name.startswith(BACKBONE):
            given = supernet[name].shape
            read = _levels_read(name, channels, readers)
            ranges = _outer_ranges(name, value.shape, given, read)
            slices[name] = Slice(name, ranges)
            continue
        source, part = locate(name, arch, space)
        given = supernet[source].shape
        row = None
        if name.endswith(SCALES):
            depths = space.depth[part - 1]
            row = depths.index(arch['depth'][part - 1])
            row = min(row, given[0] - 1)  # a single row is shared
            given = given[1:]
        ranges = _backbone_ranges(name, value.shape, given)
        slices[name] = Slice(source, ranges, row)
    return slices


def locate(name: str, arch: Arch, space: SearchSpace) -> tuple[str, int]:
    """Find a tensor of a sub-network's backbone in the supernet.

    Returns:
        Its name there, and the stage mbK that it belongs to, 0 for
        first_conv.
    """
    words = name.split('.')
    if words[1] == 'stem':
        return name, min(int(words[2]), 1)
    stage, block = int(words[2]), int(words[3])
    first, *others = PARTS[stage]
    depth = arch['depth'][first - 1]
    if not others or block < depth:
        return name, first
    words[3] = str(block - depth + space.depth[first - 1][-1])
    return '.'.join(words), others[0]


def _backbone_ranges(
    name: str, wanted: Sequence[int], given: Sequence[int]
) -> dict[int, tuple[Range, ...]]:
    ranges: dict[int, tuple[Range, ...]] = {}
    for axis, (size, whole) in enumerate(zip(wanted, given)):
        if size == whole:
            continue
        if axis == 0 and _JOINT in name:
            half, middle = size // 2, whole // 2
            ranges[axis] = (0, half), (middle, middle + half)
        else:
            start = (whole - size) // 2 if axis > 1 else 0
            ranges[axis] = ((start, start + size),)
    return ranges


def _levels_read(
    name: str,
    channels: Sequence[tuple[int, int]],
    readers: Mapping[str, Sequence[int]],
) -> list[tuple[int, int]]:
    """Find the levels that the owner of a tensor reads."""
    for beginning, known in readers.items():
        if name.startswith(beginning):
            return [pair for pair in channels if pair[0] in known]
    return list(channels)


def _outer_ranges(
    name: str,
    wanted: Sequence[int],
    given: Sequence[int],
    channels: Sequence[tuple[int, int]],
) -> dict[int, tuple[Range, ...]]:
    """Cut what reads a level, or a level and other maps after it."""
    ranges: dict[int, tuple[Range, ...]] = {}
    for axis, (size, whole) in enumerate(zip(wanted, given)):
        if size == whole:
            continue
        if (whole, size) in channels:
            ranges[axis] = ((0, size),)
            continue
        levels = {
            (most, some)
            for most, some in channels
            if most < whole and most - some == whole - size
        }
        if len(levels) != 1:
            raise UserError(
                f'supernet: {name} has {whole} channels along axis {axis}, '
                f'and {size} in the sub-network, which do not follow from '
                f'one level of the backbone ({list(channels)}); use a neck '
                'or head that reads each level by itself'
            )
        ((most, some),) = levels
        ranges[axis] = (0, some), (most, whole)
    return ranges
