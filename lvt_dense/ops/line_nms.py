"""Suppression of lanes (Zheng et al., CLRNet, arXiv 2203.10350)."""

import numpy as np
import torch
from torch import Tensor

from lvt_dense.ops.suppression import Bools, Floats, Ints, to_numpy

_OFFSETS = 72  # points of a lane
_FIRST = 5  # column of the first point


def _truncate(x: Floats) -> Ints:
    return np.trunc(x).astype(np.int64)


def _are_close(
    lanes: Floats, lane: int, others: Ints, threshold: float
) -> Bools:
    """Tell which lanes are less than `threshold` away, on the mean."""
    start = _truncate(lanes[:, 2] * (_OFFSETS - 1) + 0.5)
    length = lanes[:, 4]
    shift = _truncate(0.5 - (length - 1 < 0))
    end = start + _truncate(length) - 1 + shift
    first = np.maximum(start[lane], start[others])
    last = np.minimum(np.minimum(end[lane], end[others]), _OFFSETS - 1)
    place = np.arange(_OFFSETS)
    shared = (place >= first[:, None]) & (place <= last[:, None])
    points = lanes[:, _FIRST : _FIRST + _OFFSETS]
    distance = np.abs(points[others] - points[lane])
    total = np.where(shared, distance, 0).sum(1)
    near = total < lanes.dtype.type(threshold) * (last - first + 1)
    return near & (last >= first) & (first >= 0)


def line_nms_forward(
    boxes: Tensor, scores: Tensor, thresh: float, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Drop the lanes that lie too near to a better one.

    Args:
        boxes: (N, 77), two scores, start, x, length and 72 points.
        scores: (N,).
        thresh: Mean distance below which a lane is dropped.
        top_k: How many lanes are kept at most.

    Returns:
        (N,), the indices that are kept, then zeros; their number, at most
        `top_k`; (N,), which of the kept lanes (from 1) each lane belongs to.
    """
    lanes = to_numpy(boxes)
    order = scores.sort(0, descending=True)[1].cpu().numpy()
    keep = np.zeros(len(order), dtype=np.int64)
    parent = np.zeros(len(order), dtype=np.int64)
    alive, kept = np.ones(len(order), dtype=bool), 0
    for rank, lane in enumerate(order):
        if not alive[rank]:
            continue
        if kept == top_k:
            break
        keep[kept] = lane
        kept += 1
        worse = order[rank + 1 :]
        hit = _are_close(lanes, int(lane), worse, thresh)
        parent[lane] = kept
        parent[worse[hit]] = kept
        alive[rank + 1 :] &= ~hit
    device = boxes.device
    return (
        torch.from_numpy(keep).to(device),
        torch.tensor(kept, device=device),
        torch.from_numpy(parent).to(device),
    )
