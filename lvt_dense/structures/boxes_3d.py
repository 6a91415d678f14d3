"""Geometry of 3D boxes in a camera frame, batched and differentiable.

A box is ``(x, y, z, l, h, w, ry)`` in meters and radians, in KITTI's
rectified frame of camera 2: x to the right, y down, z forward. ``(x, y, z)``
is the center of the *bottom* face; ``ry`` turns about the y axis, and is 0
when the object faces +x.

``cam2img`` is the projection matrix ``P2``: 3 x 4, or 4 x 4 with the last row
``(0, 0, 0, 1)``, as a tensor or a NumPy array. Its leading dimensions, if
any, broadcast against those of the points. Depth means the third row of
``P2 X`` throughout, which differs from z by the few millimeters of
``P2[2, 3]``.

**Observation angle.** One convention serves targets and decoding::

    ry = alpha + atan2(u - cx, fx)

with ``u`` the column of the projected *geometric* center. On the labels of
KITTI it agrees with the annotated alpha to 0.026 rad for 95 % of the objects.

Numbering of the corners; ``i`` and its partner ``i ^ 1`` are the left and
right ends of one edge, so mirroring the scene swaps 0-1, 2-3, 4-5 and 6-7::

            6 ------- 7        top:     y - h
           /|        /|        bottom:  y
          4 ------- 5 |
          | |       | |        front face: 0, 1, 5, 4
          | 2 ------|-3        back face:  2, 3, 7, 6
          |/        |/
          0 ------- 1          0 left, 1 right, as the driver sees it
"""

import math

import numpy as np
import torch
from torch import Tensor

from .angles import wrap_angle

Camera = Tensor | np.ndarray

FRONT_FACE = (0, 1, 5, 4)
BOX_EDGES = (
    (0, 1), (2, 3), (4, 5), (6, 7),
    (0, 2), (1, 3), (4, 6), (5, 7),
    (0, 4), (1, 5), (2, 6), (3, 7),
)  # fmt: skip

# Signs of (forward, up, left) half extents; "up" counts whole heights.
_FORWARD = (0.5, 0.5, -0.5, -0.5, 0.5, 0.5, -0.5, -0.5)
_UP = (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0)
_LEFT = (0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5)

# Nearest depth in meters at which a box is still drawn or enclosed.
NEAR_PLANE = 0.1


def geometric_centers(boxes: Tensor) -> Tensor:
    """Return the centers (..., 3) of the volumes of boxes (..., 7)."""
    x, y, z, _, h = boxes[..., :5].unbind(-1)
    return torch.stack((x, y - h / 2, z), -1)


def boxes_to_corners(boxes: Tensor) -> Tensor:
    """Return the corners of 3D boxes.

    Args:
        boxes: (..., 7), see the module's docstring.

    Returns:
        (..., 8, 3) in meters, in the order drawn in the module's docstring.
    """
    x, y, z, length, h, w, ry = boxes[..., None, :].unbind(-1)
    forward = length * boxes.new_tensor(_FORWARD)
    left = w * boxes.new_tensor(_LEFT)
    cos, sin = ry.cos(), ry.sin()
    return torch.stack(
        (
            x + forward * cos + left * sin,
            y - h * boxes.new_tensor(_UP),
            z - forward * sin + left * cos,
        ),
        -1,
    )


def boxes_to_bev(boxes: Tensor) -> Tensor:
    """Return rectangles (..., 5) for mmcv's rotated IoU and NMS.

    They are ``(x, z, l, w, -ry)``: with z as the second axis a positive yaw
    turns clockwise, the other way round than those operators count.
    """
    return torch.cat((boxes[..., [0, 2, 3, 5]], -boxes[..., 6:7]), -1)


def project_points(points: Tensor, cam2img: Camera) -> Tensor:
    """Project points into the image.

    Args:
        points: (..., 3) in meters.
        cam2img: (..., 3 or 4, 4).

    Returns:
        (..., 3): column u and row v in pixels, and depth in meters. Points
        at or behind the camera (depth <= 0) have a meaningless u and v.
    """
    scaled = _apply_camera(points, cam2img)
    depth = scaled[..., 2:]
    # A depth of exactly zero would turn gradients into NaN.
    safe = torch.where(depth == 0, torch.full_like(depth, 1e-6), depth)
    return torch.cat((scaled[..., :2] / safe, depth), -1)


def unproject_points(uvd: Tensor, cam2img: Camera) -> Tensor:
    """Return the points (..., 3) seen at uvd (..., 3).

    The inverse of :func:`project_points`.
    """
    matrix = _as_matrix(cam2img, uvd)
    scaled = torch.cat((uvd[..., :2] * uvd[..., 2:], uvd[..., 2:]), -1)
    inverse = _inverse(matrix[..., :3, :3].double()).to(uvd.dtype)
    offset = scaled - matrix[..., :3, 3]
    return (inverse * offset[..., None, :]).sum(-1)


def alpha_to_yaw(alpha: Tensor, u: Tensor, cam2img: Camera) -> Tensor:
    """Compute the yaw in [-pi, pi) of objects observed at an angle.

    Args:
        alpha: (...) observation angle in radians.
        u: (...) column of the projected geometric center in pixels.
        cam2img: (..., 3 or 4, 4).
    """
    return wrap_angle(alpha + _ray_angle(u, cam2img))


def yaw_to_alpha(yaw: Tensor, u: Tensor, cam2img: Camera) -> Tensor:
    """Compute the observation angle: inverse of :func:`alpha_to_yaw`."""
    return wrap_angle(yaw - _ray_angle(u, cam2img))


def project_edges(boxes: Tensor, cam2img: Camera) -> tuple[Tensor, Tensor]:
    """Project the 12 edges of boxes, cut off at the near plane.

    Args:
        boxes: (N, 7).
        cam2img: (3 or 4, 4), or (N, 3 or 4, 4).

    Returns:
        The two ends of the edges in pixels, (N, 12, 2, 2), in the order of
        ``BOX_EDGES``; and whether an edge reaches beyond the near plane,
        (N, 12). The ends of one that does not are meaningless.
    """
    matrix = _as_matrix(cam2img, boxes)[..., None, :, :]
    # As (u * depth, v * depth, depth), in which cutting is linear.
    corners = _apply_camera(boxes_to_corners(boxes), matrix)
    ends = corners[..., torch.tensor(BOX_EDGES, device=boxes.device), :]
    others = ends.flip(-2)
    in_front = ends[..., 2] >= NEAR_PLANE
    cut = ~in_front & in_front.flip(-1)
    span = others[..., 2] - ends[..., 2]
    span = torch.where(cut, span, torch.ones_like(span))
    share = ((NEAR_PLANE - ends[..., 2]) / span)[..., None]
    ends = torch.where(cut[..., None], ends.lerp(others, share), ends)
    visible = in_front.any(-1)
    depth = torch.where(
        visible[..., None], ends[..., 2], torch.ones_like(ends[..., 2])
    )
    return ends[..., :2] / depth[..., None], visible


def box2d_from_boxes3d(
    boxes: Tensor,
    cam2img: Camera,
    image_shape: tuple[int, int] | None = None,
) -> Tensor:
    """Enclose projected 3D boxes in 2D boxes.

    The part of a box nearer than 0.1 m is cut off before it is projected. A
    box that lies there as a whole becomes the zero box.

    Args:
        boxes: (N, 7).
        cam2img: (3 or 4, 4), or (N, 3 or 4, 4).
        image_shape: Height and width in pixels. If given, boxes are clipped
            to [0, width - 1] and [0, height - 1].

    Returns:
        (N, 4) as x1, y1, x2, y2 in pixels.
    """
    segments, visible = project_edges(boxes, cam2img)
    hidden = ~visible[..., None, None]
    low = segments.masked_fill(hidden, math.inf).amin((-3, -2))
    high = segments.masked_fill(hidden, -math.inf).amax((-3, -2))
    box2d = torch.cat((low, high), -1)
    box2d = box2d.masked_fill(~visible.any(-1, keepdim=True), 0.0)
    if image_shape is None:
        return box2d
    height, width = image_shape[:2]
    limit = box2d.new_tensor((width, height, width, height)) - 1
    return torch.minimum(box2d.clamp(min=0), limit)


def _ray_angle(u: Tensor, cam2img: Camera) -> Tensor:
    matrix = _as_matrix(cam2img, u)
    return torch.atan2(u - matrix[..., 0, 2], matrix[..., 0, 0] + 0 * u)


def _as_matrix(cam2img: Camera, like: Tensor) -> Tensor:
    return torch.as_tensor(cam2img, dtype=like.dtype, device=like.device)


def _apply_camera(points: Tensor, cam2img: Camera) -> Tensor:
    matrix = _as_matrix(cam2img, points)[..., :3, :]
    turned = (matrix[..., :3] * points[..., None, :]).sum(-1)
    return turned + matrix[..., 3]


def _inverse(matrix: Tensor) -> Tensor:
    """Invert (..., 3, 3) in closed form, which every exporter knows."""
    a, b, c = matrix.unbind(-2)
    cofactors = torch.stack(
        (
            torch.linalg.cross(b, c),
            torch.linalg.cross(c, a),
            torch.linalg.cross(a, b),
        ),
        -1,
    )
    return cofactors / (a * cofactors[..., 0]).sum(-1)[..., None, None]
