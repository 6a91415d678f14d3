"""Cut a map into windows, and put it together again."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def ceil_div(length: int, part: int) -> int:
    """Divide positive numbers, and round up.

    ``-(-length // part)`` rounds the other way where an exporter turns it
    into a division of integers that cuts off.
    """
    return (length + part - 1) // part


def is_size_free(size: Sequence[int]) -> bool:
    """Whether a graph that is being exported is to take other sizes, too.

    Args:
        size: Height and width, or what is computed from them.
    """
    is_symbol = any(isinstance(n, torch.SymInt) for n in size)
    return torch.jit.is_tracing() or is_symbol


def even_side(length: int, longest: int | None) -> int:
    """Compute the side of windows as few and as even as possible.

    For example three windows of 17, not 18, cover a length of 50.

    Args:
        length: What the windows cover, in pixels.
        longest: Side that no window exceeds; ``None`` for a single window.
    """
    if longest is None:
        return length
    return ceil_div(length, ceil_div(length, longest))


class Windows:
    """How a map is cut into windows of equal size.

    Along each axis the map is cut into pieces of ``side * step`` pixels, and
    a window holds every ``step``-th pixel of a piece. What is missing in the
    last piece is padded below and on the right.

    Args:
        size: Height and width of the map, in pixels.
        sides: Height and width of a window, in pixels.
        steps: Distance of neighbors in a window, in pixels of the map.
        pieces: Number of pieces along each axis, where it is known: by
            itself it is worked out from the other arguments, which says
            little where the size of an exported graph is free.
    """

    def __init__(
        self,
        size: Sequence[int],
        sides: Sequence[int],
        steps: Sequence[int] = (1, 1),
        pieces: Sequence[int] | None = None,
    ) -> None:
        self.size = tuple(size)
        self.sides = tuple(sides)
        self.steps = tuple(steps)
        spans = [side * step for side, step in zip(self.sides, self.steps)]
        self.pieces = tuple(pieces or map(ceil_div, self.size, spans))
        self.padding = tuple(
            piece * span - n
            for piece, span, n in zip(self.pieces, spans, self.size)
        )

    @classmethod
    def tile(cls, size: Sequence[int], side: int) -> 'Windows':
        """Cut into windows of ``side`` by ``side`` neighboring pixels."""
        return cls(size, (side, side))

    @classmethod
    def even(
        cls, size: Sequence[int], longest: int | None, step: int = 1
    ) -> 'Windows':
        """Cut into the fewest windows, see :func:`even_side`."""
        lengths = [ceil_div(n, step) for n in size]
        pieces = [
            1 if longest is None else ceil_div(n, longest) for n in lengths
        ]
        sides = [even_side(n, longest) for n in lengths]
        return cls(size, sides, (step, step), pieces)

    @classmethod
    def spread(cls, size: Sequence[int], side: int) -> 'Windows':
        """Spread the pixels of every window over the whole map.

        Args:
            size: Height and width of the map, in pixels.
            side: Height and width of a window; below 1 for a single one.
        """
        sides = (side, side) if side > 0 else size
        return cls(size, sides, list(map(ceil_div, size, sides)), (1, 1))

    @property
    def may_be_padded(self) -> bool:
        """Whether there is padding, or a trace is to allow for some."""
        return is_size_free(self.padding) or any(self.padding)

    @property
    def count(self) -> int:
        """Number of windows of a map."""
        (rows, columns), (step_y, step_x) = self.pieces, self.steps
        return rows * columns * step_y * step_x

    def split(self, x: Tensor, fill: float = 0.0) -> Tensor:
        """Cut a map into its windows.

        Args:
            x: Map, (N, H, W, C).
            fill: Value of the padding.

        Returns:
            (N * count, pixels of a window, C).
        """
        below, right = self.padding
        if self.may_be_padded:
            x = F.pad(x, (0, 0, 0, right, 0, below), value=fill)
        (rows, columns), (height, width) = self.pieces, self.sides
        (step_y, step_x), (n, channels) = self.steps, (x.shape[0], x.shape[3])
        x = x.reshape(
            n, rows, height, step_y, columns, width, step_x, channels
        )
        x = x.permute(0, 1, 3, 4, 6, 2, 5, 7)
        return x.reshape(n * self.count, height * width, channels)

    def merge(self, x: Tensor) -> Tensor:
        """Put a map together from its windows, without the padding.

        Args:
            x: Windows, (N * count, pixels of a window, C).

        Returns:
            (N, H, W, C).
        """
        (rows, columns), (height, width) = self.pieces, self.sides
        step_y, step_x = self.steps
        n, channels = x.shape[0] // self.count, x.shape[2]
        x = x.reshape(
            n, rows, step_y, columns, step_x, height, width, channels
        )
        x = x.permute(0, 1, 5, 2, 3, 6, 4, 7)
        x = x.reshape(
            n,
            rows * height * step_y,
            columns * width * step_x,
            channels,
        )
        return x[:, : self.size[0], : self.size[1]]
