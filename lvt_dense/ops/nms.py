"""Non-maximum suppression of axis-aligned boxes.

The overlaps are computed in NumPy in the order of operations of the compiled
operators, so that the kept indices are identical.
"""

import numpy as np
import torch
from torch import Tensor

from lvt_dense.ops import kernels
from lvt_dense.ops.device_nms import keep_on_device
from lvt_dense.ops.kernels import uses_torchvision
from lvt_dense.ops.suppression import (
    Floats,
    Ints,
    Shapes,
    keep_greedily,
    to_numpy,
)

NAIVE, LINEAR, GAUSSIAN = 0, 1, 2


class Boxes(Shapes):
    """Boxes x1, y1, x2, y2, (N, 4); `offset` is added to their sides."""

    def __init__(self, boxes: Floats, offset: int = 0) -> None:
        """Compute the areas."""
        self.offset = boxes.dtype.type(offset)
        self.x1, self.y1, self.x2, self.y2 = np.ascontiguousarray(boxes.T)
        self.area = (self.x2 - self.x1 + self.offset) * (
            self.y2 - self.y1 + self.offset
        )
        # float64: the end must not be rounded to before a true overlap
        wide = boxes.astype(np.float64)
        self.spans = (
            (wide[:, 0], wide[:, 2] + offset),
            (wide[:, 1], wide[:, 3] + offset),
        )

    def overlap(self, i: Ints, j: Ints) -> Floats:
        """Return the IoU of boxes `i` and `j`, indices that broadcast."""
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
    boxes = boxes.index_select(0, order)
    if not offset and uses_torchvision('nms', boxes.device.type):
        keep = kernels.nms(boxes, iou_threshold)
    elif boxes.device.type == 'cpu':
        ranked = Boxes(to_numpy(boxes), offset)
        keep = torch.from_numpy(keep_greedily(ranked, iou_threshold))
    else:
        keep = keep_on_device(boxes, iou_threshold, offset)
    return order.index_select(0, keep)


def _decay(
    overlap: Floats, threshold: float, sigma: float, method: int
) -> Floats:
    """Return the factors of the scores."""
    kind = overlap.dtype.type
    if method == GAUSSIAN:
        return np.exp(-(overlap * overlap) / kind(sigma))
    over = overlap >= kind(threshold)
    low = 1 - overlap if method == LINEAR else kind(0)
    return np.where(over, low, kind(1))


def _find_best(scores: Floats) -> int:
    """Find the first of the largest scores, as a loop with `<` does.

    Boxes without area have an IoU of NaN, and then a score of NaN.
    """
    if np.isnan(scores[0]):
        return 0
    return int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))


def _drop_weak(order: Ints, scores: Floats, begin: int, least: float) -> Ints:
    """Drop from `begin` on what scores less than `least`.

    The last entries fill the gaps, as in the compiled operator: the order
    decides between equal scores.
    """
    tail = order[begin:]
    strong = ~(scores[tail] < least)
    n = int(np.count_nonzero(strong))
    kept = tail[:n].copy()
    kept[~strong[:n]] = tail[n:][strong[n:]][::-1]
    return np.concatenate([order[:begin], kept])


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of the boxes that overlap a better one.

    Soft-NMS (Bodla et al., https://arxiv.org/abs/1704.04503).

    Args:
        boxes: (N, 4), x1, y1, x2, y2.
        scores: (N,).
        dets: (N, 5), boxes and new scores, the first K rows are written.
        iou_threshold: For methods 0 and 1: from this IoU on scores change.
        sigma: For method 2.
        min_score: Boxes below it are dropped.
        method: 0 drops, 1 multiplies by 1 - IoU, 2 by exp(-IoU^2 / sigma).
        offset: 0 or 1, added to widths and heights.

    Returns:
        (K,), the indices that are left, in the order they were picked.
    """
    table = Boxes(to_numpy(boxes), offset)
    score = to_numpy(scores).copy()
    order: Ints = np.arange(len(score))
    least = score.dtype.type(min_score).item()
    picked = 0
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        while picked < len(order):
            best = picked + _find_best(score[order[picked:]])
            order[[picked, best]] = order[[best, picked]]
            top, rest = order[picked], order[picked + 1 :]
            overlap = table.overlap(top, rest)
            score[rest] *= _decay(overlap, iou_threshold, sigma, method)
            picked += 1
            order = _drop_weak(order, score, picked, least)
    kept = torch.from_numpy(order).to(boxes.device)
    new = torch.from_numpy(score)[kept.cpu()].to(dets)
    dets[: len(order), :4] = boxes[kept].to(dets)
    dets[: len(order), 4] = new
    return kept


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group the boxes with the better one that suppresses them.

    Args:
        dets: (N, 5), x1, y1, x2, y2, score.
        iou_threshold: A box is suppressed from this IoU on.

    Returns:
        A list of indices for each kept box: its own, and those of the boxes
        it suppresses, in descending order of the scores.
    """
    order = dets[:, 4].sort(0, descending=True)[1]
    ranked = Boxes(to_numpy(dets.index_select(0, order)[:, :4]))
    index = order.cpu().numpy()
    threshold = ranked.area.dtype.type(iou_threshold)
    alive, groups = np.arange(len(index)), []
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        while len(alive):
            first, rest = alive[0], alive[1:]
            hit = ranked.overlap(first, rest) >= threshold
            groups.append(index[[first, *rest[hit]]].tolist())
            alive = rest[~hit]
    return groups


def bbox_overlaps(
    bboxes1: Tensor,
    bboxes2: Tensor,
    ious: Tensor,
    mode: int,
    aligned: bool,
    offset: int,
) -> None:
    """Write the overlaps of two sets of boxes.

    Args:
        bboxes1: (N, 4), x1, y1, x2, y2.
        bboxes2: (M, 4).
        ious: (N, M), or (N,) when `aligned`; written.
        mode: 0 for the IoU, 1 for the share of the first box.
        aligned: Whether to compare row by row.
        offset: 0 or 1, added to widths and heights.
    """
    first = bboxes1 if aligned else bboxes1[:, None]
    top_left = torch.max(first[..., :2], bboxes2[..., :2])
    bottom_right = torch.min(first[..., 2:], bboxes2[..., 2:])
    inter = (bottom_right - top_left + offset).clamp(min=0).prod(-1)
    base = (first[..., 2:] - first[..., :2] + offset).prod(-1)
    if mode == 0:
        sides = bboxes2[..., 2:] - bboxes2[..., :2] + offset
        base = base + sides.prod(-1) - inter
    ious.copy_(inter / base)
