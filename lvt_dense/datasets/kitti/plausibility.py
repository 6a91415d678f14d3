"""Find labels that are implausible, or that no recipe trains on."""

from collections.abc import Iterable, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import torch

from lvt_dense.structures import box2d_from_boxes3d, wrap_angle

from .labels import KittiObjects

_POOR = 0.3  # IoU of projection and 2D box; KITTI's median is 0.9
_SURE = 0.75  # IoU at which another reading of the numbers is the right one
_GAIN = 0.15
_SIDES = ('length', 'height', 'width')


def count_left_out(
    objects: KittiObjects, limits: Mapping[str, Any]
) -> tuple[int, dict[str, int]]:
    """Count the objects that a recipe leaves out of training.

    Args:
        objects: Objects of the classes.
        limits: As of
            :class:`~lvt_dense.datasets.transforms.mono3d.FilterObjects3D`.

    Returns:
        How many are kept, and how many are left out for each reason; one
        with several reasons counts for the first.
    """
    low, (near, far) = limits['min_height'], limits['depth_range']
    z = objects.boxes_3d[:, 2]
    heights = objects.bboxes[:, 3] - objects.bboxes[:, 1]
    truncation = limits['max_truncation']
    states = ''
    if np.isin(objects.truncated, (-1, 0, 1, 2)).all():
        states = ' (the labels have 0, 1 and 2, where KITTI has a share)'
    occlusion = limits['max_occlusion']
    reasons = {
        f'2D boxes lower than {low:g} pixels': heights < low,
        f'nearer than {near:g} m': z < near,
        f'farther than {far:g} m': z > far,
        f'truncation above {truncation:g}{states}': objects.truncated
        > truncation,
        f'occlusion above {occlusion} (3 means unknown)': objects.occluded
        > occlusion,
    }
    left = np.ones(len(objects), bool)
    counts = {}
    for reason, wrong in reasons.items():
        counts[reason] = int((left & wrong).sum())
        left &= ~wrong
    return int(left.sum()), {r: n for r, n in counts.items() if n}


def projection_overlaps(
    frames: Iterable[tuple[KittiObjects, np.ndarray, tuple[int, int]]],
) -> tuple[np.ndarray, str | None]:
    """Compare the projections of 3D boxes with the 2D boxes.

    Args:
        frames: Objects, (4, 4) camera, and width and height of the image.

    Returns:
        (N,) IoU of all objects together, NaN without a 3D box; and how the
        numbers would fit better, or None.
    """
    parts = [
        (
            objects.boxes_3d,
            np.tile(camera, (len(objects), 1, 1)),
            objects.bboxes,
            np.tile(size, (len(objects), 1)),
        )
        for objects, camera, size in frames
    ]
    if not parts:
        return np.zeros(0), None
    box, camera, bbox, size = (np.concatenate(p) for p in zip(*parts))
    known = (box[:, 3:6] > 0).all(1) & (box[:, :3] > -999).all(1)
    known &= (bbox[:, 2:] > bbox[:, :2]).all(1)
    overlaps = np.full(len(box), np.nan)
    data = box[known], camera[known], bbox[known], size[known]
    overlaps[known] = _overlaps(*data)
    if not known.any():
        return overlaps, None
    return overlaps, _find_reading(*data, float(np.median(overlaps[known])))


def _overlaps(
    box: np.ndarray, camera: np.ndarray, bbox: np.ndarray, size: np.ndarray
) -> np.ndarray:
    found = box2d_from_boxes3d(
        torch.from_numpy(box), torch.from_numpy(camera)
    ).numpy()
    last = np.concatenate((size, size), 1) - 1
    found, bbox = np.clip(found, 0, last), np.clip(bbox, 0, last)
    sides = np.minimum(found[:, 2:], bbox[:, 2:]) - np.maximum(
        found[:, :2], bbox[:, :2]
    )
    inner = np.clip(sides, 0, None).prod(1)
    union = (
        (found[:, 2:] - found[:, :2]).prod(1)
        + (bbox[:, 2:] - bbox[:, :2]).prod(1)
        - inner
    )
    return np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)


def _find_reading(
    box: np.ndarray,
    camera: np.ndarray,
    bbox: np.ndarray,
    size: np.ndarray,
    given: float,
) -> str | None:
    """Find another reading of the numbers that fits clearly better."""
    readings = {}
    for order in permutations(range(3)):
        other = box.copy()
        other[:, 3:6] = box[:, 3:6][:, order]
        names = dict(zip((_SIDES[i] for i in order), _SIDES))
        # A label line has height, width, length.
        line = ', '.join(names[s] for s in ('height', 'width', 'length'))
        readings[f'the sides are in the order {line}'] = other
    lidar = box.copy()
    lidar[:, 0], lidar[:, 1], lidar[:, 2] = -box[:, 1], -box[:, 2], box[:, 0]
    turned = torch.from_numpy(-box[:, 6] - np.pi / 2)
    lidar[:, 6] = wrap_angle(turned).numpy()
    readings['the boxes are in the axes of the lidar'] = lidar
    centered = lidar.copy()
    centered[:, 1] += box[:, 4] / 2
    readings['the boxes are in the axes of the lidar, with their centers'] = (
        centered
    )
    medians = {
        text: float(np.median(_overlaps(other, camera, bbox, size)))
        for text, other in readings.items()
    }
    best = max(medians, key=lambda text: medians[text])
    if medians[best] < _SURE or medians[best] < given + _GAIN:
        return None
    return best


def is_poor(overlaps: np.ndarray) -> np.ndarray:
    """Tell which projections (N,) do not meet their 2D box."""
    return np.nan_to_num(overlaps, nan=1.0) < _POOR
