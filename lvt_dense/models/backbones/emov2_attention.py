"""Attention of EMOv2: in windows of near, and of remote pixels.

The official code pads the map with zeros to a multiple of the windows' side,
before queries, keys and values are computed, and lets the padding take part
in the softmax. All padded pixels have the same key and value. Here only those
are computed that make the remote windows equal; the others are one more key
in each window, weighted by their number.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lvt_dense.models.layers.windows import Windows, ceil_div, is_size_free


class SpanningAttention:
    """Attention in near windows, plus attention in remote ones.

    A near window holds ``side * side`` neighboring pixels, a remote one as
    many that are spread over the whole map. Where the map is one window both
    are the same, and computed once.

    Args:
        size: Height and width of the map, in pixels.
        side: Height and width of a window; below 1 for a single one.
        num_heads: Number of heads.
    """

    def __init__(self, size: Sequence[int], side: int, num_heads: int) -> None:
        self.size = tuple(size)
        self.num_heads = num_heads
        # Of a free size it is not known how much of a window is padding.
        self.pads_all = is_size_free(self.size)
        self.sides = (side, side) if side > 0 else self.size
        self.counts = tuple(
            ceil_div(n, side) if side > 0 else 1 for n in self.size
        )
        self.is_one = side < 1 or (not self.pads_all and self.counts == (1, 1))
        if self.pads_all:
            self.remote_sides = self.sides
        else:
            self.remote_sides = tuple(map(ceil_div, self.size, self.counts))
        self.padded = tuple(
            n * count for n, count in zip(self.remote_sides, self.counts)
        )

    @property
    def leaves_out(self) -> bool:
        """Whether windows have padding that is not computed."""
        return not self.pads_all and self.remote_sides != self.sides

    def pad(self, x: Tensor) -> Tensor:
        """Pad a map, (N, C, H, W), by what is computed."""
        below, right = (p - n for p, n in zip(self.padded, self.size))
        if self.pads_all or below or right:
            return F.pad(x, (0, right, 0, below))
        return x

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        padding: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Attend in both kinds of windows, and add the results.

        Args:
            query: Queries of the padded map, (N, C, H', W').
            key: Keys, (N, C, H', W').
            value: Values, (N, D, H', W').
            padding: If :attr:`leaves_out`, key and value of a padded pixel,
                (1, C, 1, 1) and (1, D, 1, 1).

        Returns:
            (N, D, H, W).
        """
        maps = [self._split_heads(x) for x in (query, key, value)]
        pixel = padding and [self._split_heads(x) for x in padding]
        remote = Windows(self.padded, self.remote_sides, self.counts, (1, 1))
        out = self._attend(maps, remote, pixel)
        out = 2 * out if self.is_one else out + self._attend_near(maps, pixel)
        out = out.unflatten(0, (-1, self.num_heads)).permute(0, 2, 3, 1, 4)
        out = out.flatten(3)[:, : self.size[0], : self.size[1]]
        return out.permute(0, 3, 1, 2)

    def _split_heads(self, x: Tensor) -> Tensor:
        """Map (N, heads * C, H, W) to (N * heads, H, W, C)."""
        x = x.unflatten(1, (self.num_heads, -1))
        return x.permute(0, 1, 3, 4, 2).flatten(0, 1)

    def _attend_near(
        self, maps: Sequence[Tensor], pixel: Sequence[Tensor] | None
    ) -> Tensor:
        """Attend in the full windows, and in those at the lower right."""
        if not self.leaves_out:
            near = Windows(self.padded, self.sides, pieces=self.counts)
            return self._attend(maps, near, None)
        rows = []
        for top, bottom, height in self._pieces(0):
            parts = []
            for left, right, width in self._pieces(1):
                piece = [x[:, top:bottom, left:right] for x in maps]
                size = (bottom - top, right - left)
                near = Windows(size, (height, width))
                parts.append(self._attend(piece, near, pixel))
            rows.append(torch.cat(parts, 2) if parts[1:] else parts[0])
        return torch.cat(rows, 1) if rows[1:] else rows[0]

    def _pieces(self, axis: int) -> Iterator[tuple[int, int, int]]:
        """Yield begin, end and side of windows of one side along an axis."""
        length, side = self.padded[axis], self.sides[axis]
        if self.remote_sides[axis] == side:
            yield 0, length, side
            return
        last = side * (self.counts[axis] - 1)
        if last:
            yield 0, last, side
        yield last, length, length - last

    def _attend(
        self,
        maps: Sequence[Tensor],
        windows: Windows,
        pixel: Sequence[Tensor] | None,
    ) -> Tensor:
        """Attend in windows.

        Args:
            maps: Queries, keys and values, (N * heads, H, W, C).
            windows: How they are cut.
            pixel: Key and value of a padded pixel, (heads, 1, 1, C).

        Returns:
            (N * heads, H, W, D).
        """
        query, key, value = map(windows.split, maps)
        query = query * query.shape[2] ** -0.5
        left_out = math.prod(self.sides) - math.prod(windows.sides)
        # On a CPU, PyTorch's fused attention wants values as wide as keys.
        if pixel is None or left_out == 0:
            logits = torch.bmm(query, key.transpose(1, 2))
        else:
            images = len(maps[0]) // self.num_heads
            key, value = (
                torch.cat([x, _repeat(y, images, windows.count)], 1)
                for x, y in zip((key, value), pixel)
            )
            weight = query.new_full((1,), math.log(left_out))
            weight = F.pad(weight, (query.shape[1], 0))
            logits = torch.baddbmm(weight, query, key.transpose(1, 2))
        return windows.merge(torch.bmm(logits.softmax(2), value))


def _repeat(pixel: Tensor, images: int, windows: int) -> Tensor:
    """Map (heads, 1, 1, C) to (images * heads * windows, 1, C)."""
    pixel = pixel.expand(-1, windows, -1, -1)
    return pixel.repeat(images, 1, 1, 1).flatten(0, 1)
