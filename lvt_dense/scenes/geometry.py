"""Plane and polygon geometry: footprints, drawing order, clipping."""

import math

import numpy as np

from .camera import NEAR


def rotation_y(angle: float) -> np.ndarray:
    """Return the (3, 3) rotation by a yaw with KITTI's sign."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


_CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])


def footprint(
    x: float, z: float, length: float, width: float, yaw: float
) -> np.ndarray:
    """Return the corners (4, 2) of a box's base, in order around it."""
    c, s = math.cos(yaw), math.sin(yaw)
    half_l, half_w = length / 2, width / 2
    axes = np.array([[c * half_l, -s * half_l], [s * half_w, c * half_w]])
    return _CORNERS @ axes + (x, z)


def overlaps_any(quad: np.ndarray, others: np.ndarray) -> bool:
    """Tell whether a rectangle (4, 2) meets one of others (N, 4, 2).

    Separating axes: two rectangles are disjoint if and only if they are
    disjoint along the normal of one of their sides.
    """
    pairs = np.broadcast_to(quad, others.shape)
    separate = np.zeros(len(others), bool)
    for base in (pairs, others):
        for i in (0, 1):
            axis = base[:, i + 1] - base[:, i]
            a = np.einsum('nkc,nc->nk', pairs, axis)
            b = np.einsum('nkc,nc->nk', others, axis)
            separate |= (a.max(1) < b.min(1)) | (b.max(1) < a.min(1))
    return not separate.all()


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _range_along(quads: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Measure from the origin to quads (M, 4, 2) along bearings (M,)."""
    ray = np.stack([np.sin(angle), np.cos(angle)], axis=-1)[:, None]
    edge = np.roll(quads, -1, axis=1) - quads
    slant = _cross(ray, edge)
    slant = np.where(np.abs(slant) < 1e-12, 1e-12, slant)
    distance = _cross(quads, edge) / slant
    along = _cross(quads, ray) / slant
    hit = (along >= -1e-9) & (along <= 1 + 1e-9) & (distance > 0)
    return np.where(hit, distance, np.inf).min(axis=1)


def painter_order(quads: np.ndarray, eye: np.ndarray) -> list[int]:
    """Order upright prisms with disjoint convex bases from far to near.

    Two disjoint convex sets are parted by a line, so whichever is nearer on
    one common line of sight is nearer on all of them, and the relation has no
    cycles within the field of view: the order is exact, unlike a sort by the
    distance of the centers.

    Args:
        quads: (N, 4, 2) bases as (x, z).
        eye: (2,) the viewpoint (x, z).

    Returns:
        Indices, the one to draw first in front.
    """
    quads = quads - eye
    bearing = np.arctan2(quads[..., 0], quads[..., 1])
    low, high = bearing.min(1), bearing.max(1)
    first, second = np.triu_indices(len(quads), 1)
    left = np.maximum(low[first], low[second])
    right = np.minimum(high[first], high[second])
    meet = left < right
    first, second = first[meet], second[meet]
    middle = (left[meet] + right[meet]) / 2
    nearer = _range_along(quads[first], middle) < _range_along(
        quads[second], middle
    )
    behind: list[list[int]] = [[] for _ in quads]
    for i, j, i_nearer in zip(first.tolist(), second.tolist(), nearer):
        behind[i if i_nearer else j].append(j if i_nearer else i)

    order: list[int] = []
    seen = [False] * len(quads)

    def visit(i: int) -> None:
        seen[i] = True
        for j in behind[i]:
            if not seen[j]:
                visit(j)
        order.append(i)

    for i in range(len(quads)):
        if not seen[i]:
            visit(i)
    return order


def clip_near(polygon: np.ndarray) -> np.ndarray:
    """Cut off what is nearer than NEAR from a convex polygon (K, 3)."""
    z = polygon[:, 2] - NEAR
    if z.min() >= 0:
        return polygon
    kept = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if z[i] >= 0:
            kept.append(polygon[i])
        if (z[i] >= 0) != (z[j] >= 0):
            t = z[i] / (z[i] - z[j])
            kept.append(polygon[i] + t * (polygon[j] - polygon[i]))
    return np.array(kept).reshape(-1, 3)


def polygon_areas(polygons: np.ndarray) -> np.ndarray:
    """Compute areas (F,) of polygons (F, K, 2): the shoelace formula."""
    x, y = polygons[..., 0], polygons[..., 1]
    twice = (x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]).sum(axis=1)
    return np.abs(twice + x[:, -1] * y[:, 0] - x[:, 0] * y[:, -1]) / 2
