"""Select the labeled objects to train on."""

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar('Array', np.ndarray, Tensor)


def select_objects(
    bboxes: Array,
    bboxes_3d: Array,
    truncated: Array,
    occluded: Array,
    min_height: float = 0.0,
    depth_range: tuple[float, float] = (0.0, math.inf),
    max_truncation: float = math.inf,
    max_occlusion: int | float = math.inf,
) -> Array:
    """Select objects by how well they can be seen.

    Args:
        bboxes: (M, 4) as xyxy in pixels.
        bboxes_3d: (M, 7), see :mod:`lvt_dense.structures.boxes_3d`.
        truncated: (M,) share of the object outside the image, 0 to 1.
        occluded: (M,) KITTI's level: 0 fully visible, 1 partly occluded,
            2 largely occluded, 3 unknown.
        min_height: Smallest height of the 2D box in pixels.
        depth_range: Nearest and farthest z in meters.
        max_truncation: Largest truncation.
        max_occlusion: Largest level of occlusion.

    Returns:
        (M,) bool.
    """
    z = bboxes_3d[:, 2]
    return (
        (bboxes[:, 3] - bboxes[:, 1] >= min_height)
        & (z >= depth_range[0])
        & (z <= depth_range[1])
        & (truncated <= max_truncation)
        & (occluded <= max_occlusion)
    )


def centers_inside(
    bboxes: Array, height: float | Array, width: float | Array
) -> Array:
    """Tell which 2D boxes (M, 4) have their center in an image.

    Args:
        bboxes: (M, 4) as xyxy in pixels.
        height: Of the image in pixels, or (M,) one for every box.
        width: As the height.
    """
    x = (bboxes[:, 0] + bboxes[:, 2]) / 2
    y = (bboxes[:, 1] + bboxes[:, 3]) / 2
    return (x >= 0) & (y >= 0) & (x < width) & (y < height)
