"""Overlaps of rotated rectangles in operators that every exporter knows."""

import torch
from torch import Tensor

_EPS = 1e-6


def pairwise_overlaps(boxes: Tensor) -> Tensor:
    """Compute the intersection over union of all pairs.

    The corners of the intersection of two convex shapes are corners of one
    inside the other, and crossings of their edges: they are sorted by their
    angle around their mean, and the shoelace formula gives the area.

    Args:
        boxes: Rectangles, (N, K, 5) as center, width, height and angle in
            radians.

    Returns:
        IoU, (N, K, K) in [0, 1].
    """
    # About their own centers, for the sake of precision.
    corners = _corners(boxes)
    one, two = corners[:, :, None], corners[:, None, :]
    one, two = torch.broadcast_tensors(one, two)
    points, valid = _candidates(one, two)
    inter = _area(points, valid)
    areas = boxes[..., 2] * boxes[..., 3]
    union = areas[:, :, None] + areas[:, None, :] - inter
    return inter / union.clamp(min=_EPS)


def _corners(boxes: Tensor) -> Tensor:
    """Return the corners (..., 4, 2), counterclockwise."""
    x, y, width, height, angle = boxes.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    out = []
    for u, v in ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)):
        dx, dy = u * width, v * height
        out.append(
            torch.stack((x + dx * cos - dy * sin, y + dx * sin + dy * cos), -1)
        )
    return torch.stack(out, -2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _candidates(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Return points (..., 24, 2) and which are corners of the intersection."""
    edge_one = one.roll(-1, -2) - one
    edge_two = two.roll(-1, -2) - two
    start = two[..., None, :, :] - one[..., :, None, :]
    first, second = edge_one[..., :, None, :], edge_two[..., None, :, :]
    denominator = _cross(first, second)
    parallel = denominator.abs() < _EPS
    denominator = torch.where(parallel, 1.0, denominator)
    t = _cross(start, second) / denominator
    u = _cross(start, first) / denominator
    hit = (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1) & ~parallel
    crossing = one[..., :, None, :] + t[..., None] * first
    points = torch.cat((one, two, crossing.flatten(-3, -2)), -2)
    valid = torch.cat(
        (_inside(one, two), _inside(two, one), hit.flatten(-2)), -1
    )
    return points, valid


def _inside(points: Tensor, shape: Tensor) -> Tensor:
    """Tell which points (..., 4, 2) lie in convex shapes (..., 4, 2)."""
    edge = shape.roll(-1, -2) - shape
    to = points[..., :, None, :] - shape[..., None, :, :]
    return (_cross(edge[..., None, :, :], to) >= -_EPS).all(-1)


def _area(points: Tensor, valid: Tensor) -> Tensor:
    """Compute the area of the convex hull of points that are its corners."""
    weight = valid.to(points.dtype)[..., None]
    count = weight.sum(-2, keepdim=True)
    center = (points * weight).sum(-2, keepdim=True) / count.clamp(min=1)
    # What is no corner lies in the center, and adds nothing.
    spokes = (points - center) * weight
    angle = torch.atan2(spokes[..., 1], spokes[..., 0])
    angle = torch.where(valid, angle, 10.0)
    order = angle.topk(angle.shape[-1], largest=False).indices
    spokes = spokes.gather(-2, order[..., None].expand(*order.shape, 2))
    # After the last corner come zeros; the first one closes the polygon.
    index = torch.arange(points.shape[-2], device=points.device)
    last = index == count.squeeze(-1).to(index.dtype) - 1
    following = torch.where(
        last[..., None], spokes[..., :1, :], spokes.roll(-1, -2)
    )
    return _cross(spokes, following).sum(-1).abs() / 2
