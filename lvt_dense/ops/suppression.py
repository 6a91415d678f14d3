"""Greedy suppression of shapes that overlap a better one.

The shapes are in descending order of their scores: a shape's rank is its
index. A subclass of :class:`Shapes` computes how much two of them overlap.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MAX_PAIRS = 1 << 20  # above this, blocks are cheaper than pairs
_BLOCK = 512

Floats = NDArray[np.floating]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


def to_numpy(x: Tensor) -> Floats:
    """Copy to NumPy, half precision as float32."""
    x = x.detach().cpu()
    return (x if x.dtype == torch.float64 else x.float()).numpy()


class Shapes(ABC):
    """N shapes in descending order of their scores.

    Attributes:
        spans: For the x and for the y axis, where each shape begins and ends,
            float64. Shapes whose spans do not touch do not overlap.
        chunk: How many pairs are compared at a time.
    """

    spans: tuple[tuple[Floats, Floats], ...]
    chunk = 1 << 17

    def __len__(self) -> int:
        """Return N."""
        return len(self.spans[0][0])

    @abstractmethod
    def overlap(self, i: Ints, j: Ints) -> Floats:
        """Return the IoU of shapes `i` and `j`, indices that broadcast."""


class _Test:
    """Whether two shapes overlap too much."""

    def __init__(self, shapes: Shapes, threshold: float, inclusive: bool):
        self.shapes, self.threshold = shapes, threshold
        self.inclusive = inclusive

    def __call__(self, i: Ints, j: Ints) -> Bools:
        overlap = self.shapes.overlap(i, j)
        threshold = overlap.dtype.type(self.threshold)
        return overlap >= threshold if self.inclusive else overlap > threshold

    @property
    def needs_contact(self) -> bool:
        """False where shapes that do not touch suppress each other too."""
        zero_passes = self.threshold <= 0 if self.inclusive else False
        return not (zero_passes or self.threshold < 0)


def _find_candidates(shapes: Shapes) -> tuple[Ints, Ints, int]:
    """Find the shapes that may overlap, by a sweep along one axis.

    Returns:
        The shapes in order of where they begin; for each the number of those
        after it that begin before it ends; the sum of the numbers.
    """
    sweeps = []
    for low, high in shapes.spans:
        order = np.argsort(low, kind='stable')
        end = np.searchsorted(low[order], high[order], side='right')
        counts = np.maximum(end - np.arange(len(order)) - 1, 0)
        sweeps.append((order, counts, int(counts.sum())))
    return min(sweeps, key=lambda sweep: sweep[2])


def _test_pairs(test: _Test, order: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return the pairs (higher, lower rank) that overlap too much."""
    ends = np.cumsum(counts)
    higher, lower = [], []
    start = 0
    while start < len(order):
        done = ends[start - 1] if start else 0
        limit = done + test.shapes.chunk
        stop = int(np.searchsorted(ends, limit, side='right'))
        stop = max(stop, start + 1)
        n = counts[start:stop]
        first = np.repeat(np.arange(start, stop), n)
        begin = np.repeat(ends[start:stop] - n - done, n)
        second = first + 1 + np.arange(len(first)) - begin
        i, j = order[first], order[second]
        found = test(i, j)
        i, j = i[found], j[found]
        higher.append(np.minimum(i, j))
        lower.append(np.maximum(i, j))
        start = stop
    return np.concatenate(higher), np.concatenate(lower)


def _resolve(n: int, higher: Ints, lower: Ints) -> Bools:
    """Keep greedily in order of rank; an edge suppresses its lower end.

    In each round the shapes that no undecided shape can suppress are kept,
    and what they suppress is dropped. There are few rounds: as many as the
    longest chain of overlapping shapes.
    """
    keep = np.ones(n, dtype=bool)
    while len(higher):
        contested = np.zeros(n, dtype=bool)
        contested[lower] = True
        keep[lower[~contested[higher]]] = False
        is_open = keep[higher] & keep[lower]
        higher, lower = higher[is_open], lower[is_open]
    return keep


def _keep_in_blocks(test: _Test) -> Ints:
    """Decide block by block, each against all that is left."""
    alive: Ints = np.arange(len(test.shapes))
    kept = []
    while len(alive):
        block, alive = alive[:_BLOCK], alive[_BLOCK:]
        edges = np.nonzero(np.triu(test(block[:, None], block[None]), 1))
        block = block[_resolve(len(block), *edges)]
        kept.append(block)
        start = 0
        while start < len(block) and len(alive):
            rows = max(1, test.shapes.chunk // len(alive))
            hit = test(block[start : start + rows, None], alive[None])
            alive = alive[~hit.any(0)]
            start += rows
    return np.concatenate(kept)


def keep_greedily(
    shapes: Shapes, threshold: float, inclusive: bool = False
) -> Ints:
    """Return the ranks of the shapes that are kept, ascending.

    Args:
        shapes: In descending order of the scores.
        threshold: A shape is dropped above this IoU with a kept one.
        inclusive: Whether it is dropped at this IoU too.
    """
    n = len(shapes)
    if n == 0:
        return np.zeros(0, dtype=np.intp)
    test = _Test(shapes, threshold, inclusive)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        if not test.needs_contact:
            return _keep_in_blocks(test)
        order, counts, total = _find_candidates(shapes)
        if total > min(_MAX_PAIRS, n * n // 16 + 4096):
            return _keep_in_blocks(test)
        return np.nonzero(_resolve(n, *_test_pairs(test, order, counts)))[0]
