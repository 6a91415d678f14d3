"""Overlaps and suppression of rotated boxes.

The compiled operators work in float32, and their rounding decides whether a
shared corner or edge belongs to the intersection. So the points are found here
in the same order of operations; only the area is computed in another way.
"""

import numpy as np
import torch
from torch import Tensor

from lvt_dense.ops.suppression import (
    Bools,
    Floats,
    Ints,
    Shapes,
    keep_greedily,
    to_numpy,
)

_CHUNK = 1 << 14  # pairs at a time: bounds the memory


def _corners_of(boxes: Floats) -> Floats:
    """Turn x, y, w, h, angle into corners: (P, 5) -> (P, 4, 2)."""
    x, y, w, h, angle = boxes.T
    half = boxes.dtype.type(0.5)
    angle = angle.astype(np.float64)
    cos = np.cos(angle).astype(boxes.dtype) * half
    sin = np.sin(angle).astype(boxes.dtype) * half
    x0, y0 = x - sin * h - cos * w, y + cos * h - sin * w
    x1, y1 = x + sin * h - cos * w, y - cos * h - sin * w
    xs = np.stack([x0, x1, 2 * x - x0, 2 * x - x1], 1)
    ys = np.stack([y0, y1, 2 * y - y0, 2 * y - y1], 1)
    return np.stack([xs, ys], 2)


def _cross(a: Floats, b: Floats) -> Floats:
    return a[..., 0] * b[..., 1] - b[..., 0] * a[..., 1]


def _dot(a: Floats, b: Floats) -> Floats:
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]


def _contains(corners: Floats, edges: Floats, points: Floats) -> Bools:
    """Tell which of `points` lie in the rectangle, (P, 4)."""
    side, last = edges[:, :1], edges[:, 3:]
    to_point = points - corners[:, :1]
    along, across = _dot(to_point, side), -_dot(to_point, last)
    return (
        (along >= 0)
        & (across >= 0)
        & (along <= _dot(side, side))
        & (across <= _dot(last, last))
    )


def _shared_points(a: Floats, b: Floats) -> tuple[Floats, Bools]:
    """Find the corners of the intersection of (P, 4, 2) and (P, 4, 2).

    Returns:
        Points (P, 24, 2): where edges cross, corners of `a`, corners of `b`;
        and which of them count, (P, 24).
    """
    edge_a, edge_b = np.roll(a, -1, 1) - a, np.roll(b, -1, 1) - b
    first, second = edge_a[:, :, None], edge_b[:, None]
    det = _cross(second, first)
    between = b[:, None] - a[:, :, None]
    t = _cross(second, between) / det
    u = _cross(first, between) / det
    crossing = (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    crossing &= np.abs(det) > 1e-14
    points = a[:, :, None] + first * t[..., None]
    n = len(a)
    found = np.concatenate([points.reshape(n, 16, 2), a, b], 1)
    counts = [
        crossing.reshape(n, 16),
        _contains(b, edge_b, a),
        _contains(a, edge_a, b),
    ]
    return found, np.concatenate(counts, 1)


def _polygon_area(points: Floats, valid: Bools) -> Floats:
    """Return the area of convex polygons given by unordered points."""
    enough = valid.sum(1) > 2
    points = np.where(valid[..., None], points, 0).astype(np.float64)
    center = (
        points.sum(1, keepdims=True)
        / np.maximum(valid.sum(1), 1)[:, None, None]
    )
    around = points - center
    angle = np.arctan2(around[..., 1], around[..., 0])
    order = np.argsort(np.where(valid, angle, np.inf), 1)
    around = np.take_along_axis(around, order[..., None], 1)
    valid = np.take_along_axis(valid, order, 1)
    # the places left over repeat the first point
    around = np.where(valid[..., None], around, around[:, :1])
    doubled = _cross(around, np.roll(around, -1, 1)).sum(1)
    return np.where(enough, np.abs(doubled) / 2, 0)


def _areas(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the areas of rotated boxes, (P, 5), and what they share."""
    kind = a.dtype
    shift = (a[:, :2] + b[:, :2]).astype(np.float64) / 2
    a, b = a.copy(), b.copy()
    for box in (a, b):  # near the origin, where float32 is precise
        box[:, :2] = (box[:, :2] - shift).astype(kind)
    shared = _shared_points(_corners_of(a), _corners_of(b))
    inter = _polygon_area(*shared).astype(kind)
    return a[:, 2] * a[:, 3], b[:, 2] * b[:, 3], inter


def _overlaps(a: Floats, b: Floats, of_first: bool = False) -> Floats:
    """Return the IoU row by row, or the share of the first box."""
    result = np.zeros(len(a), dtype=a.dtype)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        for start in range(0, len(a), _CHUNK):
            part = slice(start, start + _CHUNK)
            area_a, area_b, inter = _areas(a[part], b[part])
            base = area_a if of_first else area_a + area_b - inter
            empty = (area_a < 1e-14) | (area_b < 1e-14)
            result[part] = np.where(empty, 0, inter / base)
    return result


class _RotatedBoxes(Shapes):
    """Rotated boxes (N, 5); those whose circles are apart do not overlap."""

    chunk = _CHUNK

    def __init__(self, rows: Floats) -> None:
        self.rows = np.ascontiguousarray(rows[:, :5])
        wide = self.rows.astype(np.float64)
        radius = np.hypot(wide[:, 2], wide[:, 3]) / 2 * (1 + 1e-5) + 1e-5
        self.spans = tuple((c - radius, c + radius) for c in wide[:, :2].T)

    def near(self, i: Ints, j: Ints) -> Bools:
        """Tell whether the spans of boxes `i` and `j` touch."""
        touch: Bools = np.ones((), dtype=bool)
        for low, high in self.spans:
            touch = touch & (low[i] <= high[j]) & (low[j] <= high[i])
        return touch

    def overlap(self, i: Ints, j: Ints, of_first: bool = False) -> Floats:
        """Return the IoU of boxes `i` and `j`, indices that broadcast."""
        i, j = np.broadcast_arrays(i, j)
        result = np.zeros(i.shape, dtype=self.rows.dtype)
        near = self.near(i, j)
        rows = self.rows[i[near]], self.rows[j[near]]
        result[near] = _overlaps(*rows, of_first)
        return result


def box_iou_rotated(
    boxes1: Tensor,
    boxes2: Tensor,
    ious: Tensor,
    mode_flag: int,
    aligned: bool,
) -> None:
    """Write the overlaps of rotated boxes.

    Args:
        boxes1: (N, 5), center x and y, width, height, angle in radians
            (clockwise where y points down).
        boxes2: (M, 5).
        ious: (N * M,), or (N,) when `aligned`; written.
        mode_flag: 0 for the IoU, 1 for the share of the first box.
        aligned: Whether to compare row by row.
    """
    a, b = to_numpy(boxes1), to_numpy(boxes2)
    boxes = _RotatedBoxes(np.concatenate([a, b]))
    first: Ints = np.arange(len(a))
    second = len(a) + np.arange(len(b))
    if not aligned:
        first = first[:, None]
    found = boxes.overlap(first, second, of_first=mode_flag == 1)
    ious.copy_(torch.from_numpy(found).view_as(ious))


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Drop the rotated boxes that overlap a better one.

    As in the compiled operator, the labels make no difference.

    Args:
        dets: (N, 5), center x and y, width, height, angle in radians; a
            sixth column is not read.
        scores: (N,).
        order: Not read.
        dets_sorted: Not read.
        labels: Not read.
        iou_threshold: A box is dropped from this IoU on (on a GPU: above).
        multi_label: Not read.

    Returns:
        (K,), the indices that are kept, in descending order of the scores.
    """
    if dets.numel() == 0:
        return dets.new_empty(0, dtype=torch.long)
    order = scores.sort(0, descending=True)[1]
    ranked = _RotatedBoxes(to_numpy(dets.index_select(0, order)))
    # mmcv drops at the threshold on a CPU, and above it on a GPU
    inclusive = dets.device.type == 'cpu'
    keep = keep_greedily(ranked, iou_threshold, inclusive)
    return order.index_select(0, torch.from_numpy(keep).to(order.device))
