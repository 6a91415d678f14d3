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


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    threshold: float,
    sigma: float,
    min_score: float,
    method: str,
) -> tuple[list[int], list[float]]:
    """Indices in the order they are picked, and their new scores."""
    left = {i: float(score) for i, score in enumerate(scores)}
    kept, new = [], []
    while left:
        best = max(left, key=lambda i: left[i])
        kept.append(best)
        new.append(left.pop(best))
        for i in list(left):
            overlap = float(overlap_of(boxes[best], boxes[i]))
            if method == 'gaussian':
                left[i] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                left[i] *= 1 - overlap if method == 'linear' else 0
            if left[i] < min_score:
                del left[i]
    return kept, new


def nms_match(boxes: Tensor, scores: Tensor, threshold: float) -> list:
    """Each kept box with those that it suppresses."""
    left = scores.sort(0, descending=True)[1].tolist()
    groups = []
    while left:
        best, left = left[0], left[1:]
        hit = [
            i for i in left if overlap_of(boxes[best], boxes[i]) >= threshold
        ]
        groups.append([best, *hit])
        left = [i for i in left if i not in hit]
    return groups


def read_padded(plane: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear value with zeros around the plane, differentiable."""
    height, width = plane.shape
    value = plane.sum() * 0
    if not (-1 < y < height and -1 < x < width):
        return value
    top, left = math.floor(y.item()), math.floor(x.item())
    for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for col, col_weight in ((left, left + 1 - x), (left + 1, x - left)):
            if 0 <= row < height and 0 <= col < width:
                value = value + row_weight * col_weight * plane[row, col]
    return value


def deform_conv(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
    deform_groups: int,
) -> Tensor:
    """Deformable convolution, differentiable."""
    images, channels = x.shape[:2]
    outputs, per_group, height, width = weight.shape
    taps, size = height * width, offset.shape[2:]
    result = []
    for b in range(images):
        for o in range(outputs):
            first = o // (outputs // groups) * per_group
            for p in range(size[0]):
                for q in range(size[1]):
                    total = bias[o] if bias is not None else x.sum() * 0
                    for c in range(first, first + per_group):
                        group = c // (channels // deform_groups)
                        for k in range(taps):
                            at = offset[b, 2 * (group * taps + k) :, p, q]
                            row, col = k // width, k % width
                            y = p * stride - padding + row * dilation + at[0]
                            u = q * stride - padding + col * dilation + at[1]
                            value = read_padded(x[b, c], y, u)
                            if mask is not None:
                                factor = mask[b, group * taps + k, p, q]
                                value = value * factor
                            total = (
                                total + value * weight[o, c - first, row, col]
                            )
                    result.append(total)
    return torch.stack(result).view(images, outputs, *size)


def psa_mask(masks: Tensor, kind: str, size: tuple[int, int]) -> Tensor:
    """Attention map of PSANet, differentiable."""
    images, _, height, width = masks.shape
    pixels = height * width
    result = torch.zeros(images, pixels, pixels)
    for b in range(images):
        for h in range(height):
            for w in range(width):
                for row in range(size[0]):
                    for col in range(size[1]):
                        i = h + row - (size[0] - 1) // 2
                        j = w + col - (size[1] - 1) // 2
                        if 0 <= i < height and 0 <= j < width:
                            own, other = h * width + w, i * width + j
                            if kind == 'collect':
                                own, other = other, own
                            result[b, own, other] = masks[
                                b, row * size[1] + col, h, w
                            ]
    return result.view(images, pixels, height, width)


def carafe(
    x: Tensor, masks: Tensor, kernel: int, groups: int, scale: int
) -> Tensor:
    """Content-aware upsampling, differentiable."""
    images, channels, height, width = x.shape
    result = x.new_zeros(images, channels, height * scale, width * scale)
    for b in range(images):
        for c in range(channels):
            group = c // (channels // groups)
            for p in range(height * scale):
                for q in range(width * scale):
                    total = x.sum() * 0
                    for k in range(kernel**2):
                        row = p // scale + k // kernel - kernel // 2
                        col = q // scale + k % kernel - kernel // 2
                        if 0 <= row < height and 0 <= col < width:
                            factor = masks[b, group * kernel**2 + k, p, q]
                            total = total + factor * x[b, c, row, col]
                    result[b, c, p, q] = total
    return result


def deform_attention(
    value: Tensor, sizes: list, locations: Tensor, weights: Tensor
) -> Tensor:
    """Multi-scale deformable attention, differentiable."""
    images, queries, heads, levels, points = weights.shape
    rows = []
    for b in range(images):
        for n in range(queries):
            for h in range(heads):
                for d in range(value.size(3)):
                    total, start = value.sum() * 0, 0
                    for level, (height, width) in enumerate(sizes):
                        stop = start + height * width
                        plane = value[b, start:stop, h, d]
                        plane = plane.view(height, width)
                        start = stop
                        for k in range(points):
                            x, y = locations[b, n, h, level, k]
                            read = read_padded(
                                plane, y * height - 0.5, x * width - 0.5
                            )
                            total = total + read * weights[b, n, h, level, k]
                    rows.append(total)
    return torch.stack(rows).view(images, queries, -1)


def roi_pool(
    maps: Tensor, rois: Tensor, bins: tuple[int, int], scale: float
) -> Tensor:
    """Largest value of each bin, differentiable."""
    height, width = maps.shape[2:]
    result = maps.new_zeros(len(rois), maps.size(1), *bins)
    for n, roi in enumerate(rois.tolist()):
        x1, y1 = roi[1] * scale, roi[2] * scale
        x2, y2 = (roi[3] + 1) * scale, (roi[4] + 1) * scale
        bin_h, bin_w = (y2 - y1) / bins[0], (x2 - x1) / bins[1]
        if bin_h <= 0 or bin_w <= 0:
            continue
        for p in range(bins[0]):
            for q in range(bins[1]):
                top = min(max(math.floor(y1 + p * bin_h), 0), height)
                end = min(max(math.ceil(y1 + (p + 1) * bin_h), 0), height)
                left = min(max(math.floor(x1 + q * bin_w), 0), width)
                stop = min(max(math.ceil(x1 + (q + 1) * bin_w), 0), width)
                if top >= end or left >= stop:
                    continue
                part = maps[int(roi[0]), :, top:end, left:stop]
                result[n, :, p, q] = part.flatten(1).max(1)[0]
    return result


def deform_roi_pool(
    maps: Tensor,
    rois: Tensor,
    offset: Tensor,
    scale: float,
    ratio: int,
    gamma: float,
) -> Tensor:
    """Mean of the samples of shifted bins, differentiable."""
    height, width = maps.shape[2:]
    bins = tuple(offset.shape[2:])
    result = maps.new_zeros(len(rois), maps.size(1), *bins)
    for n, roi in enumerate(rois.tolist()):
        wide, tall = (roi[3] - roi[1]) * scale, (roi[4] - roi[2]) * scale
        for p, q, points in _samples(roi, bins, scale, ratio, True):
            dx, dy = gamma * offset[n, :, p, q]
            for c in range(maps.size(1)):
                for y, x in points:
                    y, x = y + dy * tall, x + dx * wide
                    if not (-1 <= y <= height and -1 <= x <= width):
                        continue
                    value = read_padded(
                        maps[int(roi[0]), c],
                        y.clamp(0, height - 1),
                        x.clamp(0, width - 1),
                    )
                    result[n, c, p, q] += value / len(points)
    return result


def line_nms(lanes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Keep lanes that are not near to a better one."""
    kept: list[int] = []
    for i in scores.sort(0, descending=True)[1].tolist():
        near = False
        for k in kept:
            spans = []
            for lane in (lanes[i], lanes[k]):
                first = int(float(lane[2]) * 71 + 0.5)
                last = first + int(lane[4]) - 1
                spans.append((first, last))
            first = max(span[0] for span in spans)
            last = min(*(span[1] for span in spans), 71)
            if first > last:
                continue
            apart = [
                abs(float(lanes[i, 5 + p] - lanes[k, 5 + p]))
                for p in range(first, last + 1)
            ]
            near |= sum(apart) < threshold * len(apart)
        if not near:
            kept.append(i)
    return kept
