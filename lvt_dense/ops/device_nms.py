"""Non-maximum suppression on the device that the boxes lie on."""

import torch
from torch import Tensor

from lvt_dense.ops.sampling import compute_dtype

_BLOCK = 2048
_ROUNDS = 8  # between two looks at whether anything still changes


def keep_on_device(boxes: Tensor, threshold: float, offset: int) -> Tensor:
    """Return the ranks of the boxes that are kept, (K,), ascending.

    The same boxes as on a CPU, where they are compared one by one: overlaps
    are computed with the same operations. The host waits about once for 2,048
    boxes, and once for the number that is kept.

    Args:
        boxes: (N, 4), x1, y1, x2, y2, in descending order of their scores.
        threshold: A box is dropped above this IoU with a kept one.
        offset: 0 or 1, added to widths and heights.
    """
    boxes = boxes.detach().to(compute_dtype(boxes.dtype))
    keep = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(boxes), _BLOCK):
        block = slice(start, start + _BLOCK)
        hit = _overlap(boxes[block], boxes[block], threshold, offset).triu(1)
        keep[block] = _resolve(hit, keep[block])
        for other in range(start + _BLOCK, len(boxes), _BLOCK):
            rest = slice(other, other + _BLOCK)
            hit = _overlap(boxes[block], boxes[rest], threshold, offset)
            keep[rest] &= ~(hit & keep[block][:, None]).any(0)
    return keep.nonzero().squeeze(1)


def _resolve(hit: Tensor, alive: Tensor) -> Tensor:
    """Keep greedily in order of rank.

    A box is kept if no kept box of a higher rank hits it. Repeated from any
    start, this settles the first box, then those that depend on it, and so
    on: after as many rounds as the longest chain nothing changes any more.

    Args:
        hit: (N, N), whether box i suppresses box j; only for i < j.
        alive: (N,), which boxes are left.

    Returns:
        (N,), which are kept.
    """
    matrix = hit.t().float()
    keep = alive
    while True:
        for _ in range(_ROUNDS):
            before, keep = keep, alive & (matrix @ keep.float() == 0)
        if torch.equal(before, keep):
            return keep


def _overlap(a: Tensor, b: Tensor, threshold: float, offset: int) -> Tensor:
    """Tell which boxes (N, 4) and (M, 4) overlap too much, (N, M)."""
    low = torch.maximum(a[:, None, :2], b[:, :2])
    sides = torch.minimum(a[:, None, 2:], b[:, 2:]) - low
    if offset:
        sides += offset
    sides.clamp_(min=0)
    inter = sides[..., 0] * sides[..., 1]
    union = _areas(a, offset)[:, None] + _areas(b, offset) - inter
    return inter / union > torch.tensor(threshold, dtype=a.dtype)


def _areas(boxes: Tensor, offset: int) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2] + offset
    return sides[:, 0] * sides[:, 1]
