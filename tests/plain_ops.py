"""The operators of mmcv written as plain loops, one number at a time."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def overlap_of(a: Tensor, b: Tensor, offset: int = 0) -> float:
    """IoU of two boxes x1, y1, x2, y2, in float32."""
    a, b = a.numpy(), b.numpy()
    off, zero = np.float32(offset), np.float32(0)
    w = max(zero, min(a[2], b[2]) - max(a[0], b[0]) + off)
    h = max(zero, min(a[3], b[3]) - max(a[1], b[1]) + off)
    areas = [(t[2] - t[0] + off) * (t[3] - t[1] + off) for t in (a, b)]
    inter = w * h
    with np.errstate(divide='ignore', invalid='ignore'):
        return inter / (areas[0] + areas[1] - inter)


def nms(
    boxes: Tensor, scores: Tensor, threshold: float, offset: int
) -> list[int]:
    """Greedy suppression."""
    order = scores.sort(0, descending=True)[1].tolist()
    limit = np.float32(threshold)
    kept: list[int] = []
    for i in order:
        overlaps = [overlap_of(boxes[k], boxes[i], offset) for k in kept]
        if not any(overlap > limit for overlap in overlaps):
            kept.append(i)
    return kept


def read_bilinear(plane: Tensor, y: float, x: float) -> tuple[float, list]:
    """Value of RoIAlign's sample, and its (weight, row, column)."""
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0, []
    y, x = max(y, 0.0), max(x, 0.0)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    fy = 0.0 if top == height - 1 else y - top
    fx = 0.0 if left == width - 1 else x - left
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    terms = [
        ((1 - fy) * (1 - fx), top, left),
        ((1 - fy) * fx, top, right),
        (fy * (1 - fx), bottom, left),
        (fy * fx, bottom, right),
    ]
    return sum(w * float(plane[r, c]) for w, r, c in terms), terms


def _samples(
    roi: list[float],
    bins: tuple[int, int],
    scale: float,
    ratio: int,
    aligned: bool,
) -> Iterator[tuple[int, int, list[tuple[float, float]]]]:
    """Yield each bin with the y, x of its samples."""
    shift = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (v * scale - shift for v in roi[1:])
    w, h = x2 - x1, y2 - y1
    if not aligned:
        w, h = max(w, 1.0), max(h, 1.0)
    bin_h, bin_w = h / bins[0], w / bins[1]
    rows = ratio if ratio > 0 else math.ceil(bin_h)
    cols = ratio if ratio > 0 else math.ceil(bin_w)
    for p in range(bins[0]):
        for q in range(bins[1]):
            points = [
                (
                    y1 + p * bin_h + (i + 0.5) * bin_h / rows,
                    x1 + q * bin_w + (j + 0.5) * bin_w / cols,
                )
                for i in range(rows)
                for j in range(cols)
            ]
            yield p, q, points


def roi_align(
    maps: Tensor,
    rois: Tensor,
    bins: tuple[int, int],
    scale: float,
    ratio: int,
    mode: str,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """Pooled values, and the gradient of their sum weighted by 1, 2, ..."""
    output = maps.new_zeros(len(rois), maps.size(1), *bins)
    grad = torch.zeros_like(maps)
    factor = torch.arange(1.0, output.numel() + 1).view_as(output)
    for n, roi in enumerate(rois.tolist()):
        image = int(roi[0])
        for p, q, points in _samples(roi, bins, scale, ratio, aligned):
            for c in range(maps.size(1)):
                found = [
                    read_bilinear(maps[image, c], y, x) for y, x in points
                ]
                values = [value for value, _ in found]
                if mode == 'max':
                    best = values.index(max(values))
                    output[n, c, p, q] = values[best]
                    found, share = [found[best]], 1.0
                else:
                    share = 1 / max(len(found), 1)
                    output[n, c, p, q] = sum(values) * share
                for _, terms in found:
                    for weight, row, col in terms:
                        grad[image, c, row, col] += (
                            factor[n, c, p, q] * weight * share
                        )
    return output, grad


def sigmoid_focal_loss(
    x: Tensor, target: Tensor, gamma: float, alpha: float, weight: Tensor
) -> Tensor:
    """Loss of each sample and class, differentiable."""
    rows = []
    for n in range(x.size(0)):
        t, row = int(target[n]), []
        for c in range(x.size(1)):
            p = x[n, c].sigmoid()
            if t == c:
                loss = -alpha * (1 - p) ** gamma * p.log()
            else:
                loss = -(1 - alpha) * p**gamma * (1 - p).log()
            if len(weight) and 0 <= t < len(weight):
                loss = loss * weight[t]
            row.append(loss)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def softmax_focal_loss(
    x: Tensor, target: Tensor, gamma: float, alpha: float, weight: Tensor
) -> Tensor:
    """Loss of each sample, differentiable."""
    losses = []
    for n in range(x.size(0)):
        t = int(target[n])
        if t < 0:
            losses.append(x[n, 0] * 0)
            continue
        p = x[n].softmax(0)[t]
        loss = -alpha * (1 - p) ** gamma * p.log()
        losses.append(loss * weight[t] if len(weight) else loss)
    return torch.stack(losses)
