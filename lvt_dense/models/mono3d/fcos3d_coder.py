"""FCOS3D's representation of objects: from boxes to points and back.

Every point of a pyramid may stand for one object, whose 3D center projects
close by. The point says by how much it is off, how far away the object is,
how large, and seen at which angle.

Wang et al., "FCOS3D", ICCVW 2021; depth, keypoints and 2D boxes as in "PGD"
(Probabilistic and Geometric Depth), CoRL 2021, with its values for KITTI.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from lvt_dense.structures import (
    alpha_to_yaw,
    boxes_to_corners,
    geometric_centers,
    project_points,
    unproject_points,
    wrap_angle,
    yaw_to_alpha,
)

from .instances import Objects

# Mean length, height, width in meters of pedestrian, cyclist and car.
BASE_DIMS = ((0.8, 1.73, 0.6), (1.76, 1.73, 0.6), (3.9, 1.56, 1.6))
# Mean and standard deviation of depths, in meters.
DEPTH_MEAN, DEPTH_STD = 28.01, 16.32
# Depth bins at 0, 10, .. 70 m.
NUM_DEPTH_BINS, DEPTH_BIN_SIZE = 8, 10.0
# Where the directions part: neither along the ray nor across it.
_DIRECTION_OFFSET = math.pi / 4
# Objects of a level: largest distance to a side of the 2D box, in strides.
_REACH = 16
# Points this close to a center stand for it, in strides.
_RADIUS = 1.5


class Points(NamedTuple):
    """The P points of all levels of one image."""

    xy: Tensor
    """(P, 2) in pixels."""
    stride: Tensor
    """(P,) of the level."""
    low: Tensor
    """(P,) smallest extent of the level's objects, in pixels."""
    high: Tensor
    """(P,) largest one, infinite on the last level."""

    def pick(self, index: Tensor) -> 'Points':
        """Return the points under M indices."""
        return Points(*(column[index] for column in self))

    @property
    def reach(self) -> Tensor:
        """Finite scale (P,) in pixels of the level's objects."""
        return _REACH * self.stride


class PointTargets(NamedTuple):
    """What M positive points should say."""

    label: Tensor
    """(M,) class."""
    centerness: Tensor
    """(M,) 1 at the projected center, falling with the distance."""
    offset: Tensor
    """(M, 2) from the projected center to the point, in strides."""
    depth: Tensor
    """(M,) in meters."""
    dim: Tensor
    """(M, 3) length, height, width in meters."""
    alpha: Tensor
    """(M,) observation angle in radians."""
    direction: Tensor
    """(M,) which of two half turns the angle lies in."""
    keypoints: Tensor
    """(M, 8, 2) from the point to the corners, relative to the reach."""
    keypoint_valid: Tensor
    """(M, 8) whether the corner lies in front of the camera."""
    box2d: Tensor
    """(M, 4) distances to left, top, right and bottom, in strides."""


def make_points(
    shapes: Sequence[Sequence[int]], strides: Sequence[int], like: Tensor
) -> Points:
    """Make the points of all levels, row by row.

    Args:
        shapes: Height and width of every level, in cells.
        strides: Pixels per cell of every level.
        like: Tensor whose type and device the points get.
    """
    levels: list[tuple[Tensor, ...]] = []
    for i, ((height, width), stride) in enumerate(zip(shapes, strides)):
        y, x = torch.meshgrid(
            torch.arange(height, device=like.device),
            torch.arange(width, device=like.device),
            indexing='ij',
        )
        xy = torch.stack((x, y), -1).view(-1, 2) * stride + stride / 2
        low = _REACH * strides[i - 1] if i else -1.0
        high = _REACH * stride if i + 1 < len(strides) else math.inf
        xy = xy.to(like.dtype)
        full = [xy.new_full((len(xy),), v) for v in (stride, low, high)]
        levels.append((xy, *full))
    return Points(*(torch.cat(column) for column in zip(*levels)))


class Candidates(NamedTuple):
    """T pairs of an object and a point near its projected center."""

    object: Tensor
    """(T,) in [0, M)."""
    image: Tensor
    """(T,) in [0, N)."""
    point: Tensor
    """(T,) in [0, P)."""
    is_positive: Tensor
    """(T,) whether the point stands for the object."""


def find_candidates(
    points: Points,
    shapes: Sequence[Sequence[int]],
    strides: Sequence[int],
    objects: Objects,
    counts: Tensor,
    cam2img: Tensor,
) -> Candidates:
    """Find the points that stand for objects, in shapes known beforehand.

    A point stands for the object whose projected 3D center is nearest,
    among those no farther than 1.5 strides in x and y and of an extent that
    is the level's: the largest distance from the point to a side of the 2D
    box. So only the cells around a center have to be looked at, 25 on every
    level, and nothing has to wait for a GPU to count them.

    Args:
        points: P points of an image, see :func:`make_points`.
        shapes: Height and width of every level, in cells.
        strides: Pixels per cell of every level.
        objects: M objects of all images.
        counts: (M,) which of them are learned from.
        cam2img: (N, 4, 4).
    """
    centers = project_points(
        geometric_centers(objects.bboxes_3d), cam2img[objects.image]
    )[:, :2]
    near, exists = _cells_around(centers, shapes, strides)
    count = near.shape[1]
    number = torch.arange(len(centers), device=near.device)
    number = number[:, None].expand_as(near).flatten()
    index = near.flatten()
    distance = _distances(points.pick(index), objects, centers, number)
    allowed = exists.flatten() & counts[:, None].expand(-1, count).flatten()
    distance = distance.masked_fill(~allowed, math.inf)

    image = objects.image[number]
    place = image * len(points.xy) + index
    total = len(cam2img) * len(points.xy)
    nearest = distance.new_full((total,), math.inf)
    nearest = nearest.scatter_reduce(0, place, distance, 'amin')
    is_best = distance.isfinite() & (distance == nearest[place])
    # Of several objects at the same distance the first one wins.
    last = len(centers)
    owner = torch.full_like(nearest, last, dtype=torch.long)
    first = number.masked_fill(~is_best, last)
    owner = owner.scatter_reduce(0, place, first, 'amin')
    is_positive = is_best & (number == owner[place])
    return Candidates(number, image, index, is_positive)


def _cells_around(
    centers: Tensor, shapes: Sequence[Sequence[int]], strides: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return points (M, 25 * levels) around centers, and which exist."""
    steps = torch.arange(-2, 3, device=centers.device)
    y, x = torch.meshgrid(steps, steps, indexing='ij')
    around = torch.stack((x, y), -1).view(-1, 2)
    indices, exist, start = [], [], 0
    for (height, width), stride in zip(shapes, strides):
        cell = ((centers - stride / 2) / stride).nan_to_num(-9.0)
        cell = cell.clamp(-9, max(height, width) + 9).round().long()
        column, row = (cell[:, None] + around).unbind(-1)
        inside = (column >= 0) & (column < width)
        exist.append(inside & (row >= 0) & (row < height))
        column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
        indices.append(start + row * width + column)
        start += height * width
    return torch.cat(indices, 1), torch.cat(exist, 1)


def _distances(
    points: Points, objects: Objects, centers: Tensor, number: Tensor
) -> Tensor:
    """Return the distances (T,) to centers, infinite where they do not fit.

    Args:
        points: T of them.
        objects: M objects.
        centers: (M, 2) projected, in pixels.
        number: (T,) object of every point.
    """
    delta = points.xy - centers[number]
    near = delta.abs().amax(-1) < _RADIUS * points.stride
    extent = _sides(points.xy, objects.bboxes[number]).amax(-1)
    fits = (extent >= points.low) & (extent <= points.high)
    return delta.norm(dim=-1).masked_fill(~(near & fits), math.inf)


def _sides(xy: Tensor, bboxes: Tensor) -> Tensor:
    """Return distances (T, 4) to left, top, right and bottom."""
    return torch.cat((xy - bboxes[:, :2], bboxes[:, 2:] - xy), -1)


def encode_points(
    points: Points,
    gt: InstanceData | Objects,
    index: Tensor,
    cam2img: Tensor,
) -> PointTargets:
    """Compute the targets of positive points.

    Args:
        points: M of them.
        gt: Objects: ``bboxes_3d``, ``bboxes`` and ``labels_3d``.
        index: (M,) object of every point.
        cam2img: (4, 4), or (M, 4, 4).
    """
    boxes, bboxes = gt.bboxes_3d[index], gt.bboxes[index]
    centers = project_points(geometric_centers(boxes), cam2img)
    corners = project_points(boxes_to_corners(boxes), cam2img[..., None, :, :])
    stride = points.stride[:, None]
    offset = (points.xy - centers[:, :2]) / stride
    # 1.414 * radius is the farthest a positive point can be.
    relative = offset.norm(dim=-1) / (1.414 * _RADIUS)
    alpha = yaw_to_alpha(boxes[:, 6], centers[:, 0], cam2img)
    keypoints = corners[..., :2] - points.xy[:, None]
    return PointTargets(
        gt.labels_3d[index],
        torch.exp(-2.5 * relative),
        offset,
        centers[:, 2],
        boxes[:, 3:6],
        alpha,
        encode_direction(alpha),
        (keypoints / points.reach[:, None, None]).clamp(-1, 1),
        corners[..., 2] > 0,
        (_sides(points.xy, bboxes) / stride).clamp(min=0),
    )


def encode_direction(alpha: Tensor) -> Tensor:
    """Return 0 for angles in [pi/4, 5 pi/4), 1 for the others."""
    turned = torch.remainder(alpha - _DIRECTION_OFFSET, 2 * math.pi)
    return (turned >= math.pi).long()


def decode_half_turns(angle: Tensor, direction: Tensor) -> Tensor:
    """Compute angles in [-pi, pi) from angles known up to half turns."""
    turned = torch.remainder(angle - _DIRECTION_OFFSET, math.pi)
    return wrap_angle(turned + _DIRECTION_OFFSET + math.pi * direction)


def fuse_depth(direct: Tensor, bin_logits: Tensor, balance: Tensor) -> Tensor:
    """Fuse a regressed depth with an expected one, as PGD does.

    Args:
        direct: (N, 1, H, W) in meters.
        bin_logits: (N, 8, H, W).
        balance: Logit of the share of the direct one.

    Returns:
        (N, 1, H, W) in meters.
    """
    places = torch.arange(NUM_DEPTH_BINS, device=direct.device)
    places = (places * DEPTH_BIN_SIZE).to(direct)[:, None, None]
    expected = (bin_logits.softmax(1) * places).sum(1, keepdim=True)
    share = balance.sigmoid()
    return share * direct + (1 - share) * expected


def decode_boxes(
    points: Points,
    offset: Tensor,
    depth: Tensor,
    dim: Tensor,
    alpha: Tensor,
    cam2img: Tensor,
) -> Tensor:
    """Compute the 3D boxes (M, 7) that M points stand for.

    Args:
        points: M of them.
        offset: (M, 2), see :class:`PointTargets`, as the following.
        depth: (M,).
        dim: (M, 3).
        alpha: (M,).
        cam2img: (4, 4), or (M, 4, 4).
    """
    center = points.xy - offset * points.stride[:, None]
    xyz = unproject_points(torch.cat((center, depth[:, None]), 1), cam2img)
    # From the center of the volume to the center of the bottom face.
    lift = torch.nn.functional.pad(dim[:, 1:2] / 2, (1, 1))
    yaw = alpha_to_yaw(alpha, center[:, 0], cam2img)
    return torch.cat((xyz + lift, dim, yaw[:, None]), 1)


def decode_boxes_2d(points: Points, sides: Tensor) -> Tensor:
    """Compute 2D boxes (M, 4) as xyxy from distances in strides."""
    sides = sides * points.stride[:, None]
    return torch.cat((points.xy - sides[:, :2], points.xy + sides[:, 2:]), 1)
