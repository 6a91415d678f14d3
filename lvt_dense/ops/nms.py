"""Non-maximum suppression of axis-aligned boxes.

The overlaps are computed in NumPy in the order of operations of the compiled
operator, so that the kept indices are identical.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MAX_PAIRS = 1 << 20  # above this, blocks of boxes are cheaper than pairs
_CHUNK = 1 << 17  # pairs at a time, so that the temporaries stay in cache
_BLOCK = 512

Floats = NDArray[np.floating]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


def _to_numpy(x: Tensor) -> Floats:
    x = x.detach().cpu()
    return (x if x.dtype == torch.float64 else x.float()).numpy()


class _Boxes:
    """Coordinates and areas of boxes in descending order of their scores."""

    def __init__(self, boxes: Floats, offset: int) -> None:
        self.offset = boxes.dtype.type(offset)
        self.x1, self.y1, self.x2, self.y2 = np.ascontiguousarray(boxes.T)
        self.area = (self.x2 - self.x1 + self.offset) * (
            self.y2 - self.y1 + self.offset
        )

    def overlap(self, i: Ints, j: Ints) -> Floats:
        """Return the IoU of boxes `i` and `j`, index arrays that broadcast."""
        w = np.minimum(self.x2[i], self.x2[j])
        w -= np.maximum(self.x1[i], self.x1[j])
        h = np.minimum(self.y2[i], self.y2[j])
        h -= np.maximum(self.y1[i], self.y1[j])
        if self.offset:
            w += self.offset
            h += self.offset
        np.maximum(w, 0, out=w)
        np.maximum(h, 0, out=h)
        w *= h
        union = self.area[i] + self.area[j]
        union -= w
        w /= union
        return w


def _find_candidates(boxes: _Boxes) -> tuple[Ints, Ints, int]:
    """Find the boxes that may overlap, by a sweep along one axis.

    Returns:
        The boxes in order of their left (or upper) edge; for each the number
        of those after it that begin before it ends; the sum of the numbers.
    """
    best = None
    for low, high in ((boxes.x1, boxes.x2), (boxes.y1, boxes.y2)):
        order = np.argsort(low, kind='stable')
        # float64: the bound must not be rounded below a true overlap
        bound = high[order].astype(np.float64) + float(boxes.offset)
        end = np.searchsorted(low[order], bound, side='right')
        counts = np.maximum(end - np.arange(len(order)) - 1, 0)
        total = int(counts.sum())
        if best is None or total < best[2]:
            best = order, counts, total
    return best


def _suppressions_of_pairs(
    boxes: _Boxes, order: Ints, counts: Ints, threshold: np.floating
) -> tuple[Ints, Ints]:
    """Return the pairs (higher, lower rank) that overlap too much."""
    ends = np.cumsum(counts)
    higher, lower = [], []
    start = 0
    while start < len(order):
        done = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, done + _CHUNK, side='right'))
        stop = max(stop, start + 1)
        n = counts[start:stop]
        first = np.repeat(np.arange(start, stop), n)
        step = np.arange(len(first)) - np.repeat(
            ends[start:stop] - n - done, n
        )
        i, j = order[first], order[first + 1 + step]
        found = boxes.overlap(i, j) > threshold
        i, j = i[found], j[found]
        higher.append(np.minimum(i, j))
        lower.append(np.maximum(i, j))
        start = stop
    return np.concatenate(higher), np.concatenate(lower)


def _resolve(n: int, higher: Ints, lower: Ints) -> Bools:
    """Keep greedily in order of rank; an edge suppresses its lower end.

    In each round the boxes that no undecided box can suppress are kept, and
    what they suppress is dropped. There are few rounds: as many as the
    longest chain of overlapping boxes.
    """
    keep = np.ones(n, dtype=bool)
    while len(higher):
        contested = np.zeros(n, dtype=bool)
        contested[lower] = True
        keep[lower[~contested[higher]]] = False
        open_edges = keep[higher] & keep[lower]
        higher, lower = higher[open_edges], lower[open_edges]
    return keep


def _keep_in_blocks(boxes: _Boxes, n: int, threshold: np.floating) -> Ints:
    """Decide block by block, each against all that is left."""
    alive = np.arange(n)
    kept = []
    while len(alive):
        block, alive = alive[:_BLOCK], alive[_BLOCK:]
        over = boxes.overlap(block[:, None], block[None]) > threshold
        keep = _resolve(len(block), *np.nonzero(np.triu(over, 1)))
        block = block[keep]
        kept.append(block)
        rows = max(1, _CHUNK // max(1, len(alive)))
        for start in range(0, len(block), rows):
            if not len(alive):
                break
            over = boxes.overlap(block[start : start + rows, None], alive)
            alive = alive[~(over > threshold).any(0)]
    return np.concatenate(kept)


def keep_greedily(boxes: Floats, iou_threshold: float, offset: int) -> Ints:
    """Return the ranks of the boxes that are kept, ascending.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in descending order of the scores.
        iou_threshold: A box is dropped above this IoU with a kept one.
        offset: 0 or 1, added to widths and heights.
    """
    n = len(boxes)
    if n == 0:
        return np.zeros(0, dtype=np.intp)
    table = _Boxes(boxes, offset)
    threshold = boxes.dtype.type(iou_threshold)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        if threshold < 0:  # boxes that do not touch suppress each other too
            return _keep_in_blocks(table, n, threshold)
        order, counts, total = _find_candidates(table)
        if total > min(_MAX_PAIRS, n * n // 16 + 4096):
            return _keep_in_blocks(table, n, threshold)
        edges = _suppressions_of_pairs(table, order, counts, threshold)
        return np.nonzero(_resolve(n, *edges))[0]


def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int
) -> Tensor:
    """Drop the boxes that overlap a better one.

    Args:
        boxes: (N, 4), x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: A box is dropped above this IoU with a kept one.
        offset: 0 or 1, added to widths and heights.

    Returns:
        (K,), the indices that are kept, in descending order of the scores.
    """
    if boxes.numel() == 0:
        return boxes.new_empty(0, dtype=torch.long)
    order = scores.sort(0, descending=True)[1]
    ranked = _to_numpy(boxes.index_select(0, order))
    keep = torch.from_numpy(keep_greedily(ranked, iou_threshold, offset))
    return order.index_select(0, keep.to(order.device))
