"""Cut what is annotated of an image to a crop of it."""

from typing import Any

import numpy as np


def centers_in_crop(boxes: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """Tell which boxes have their center inside of a crop.

    Args:
        boxes: (N, 4), xyxy.
        crop: (..., 4), xyxy, that broadcasts with the boxes.

    Returns:
        Flags, (..., N).
    """
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centers > crop[..., :2]) & (centers < crop[..., 2:])
    return inside.all(axis=-1)


def cut_annotations(
    results: dict[str, Any],
    crop: np.ndarray,
    kept: np.ndarray,
    clip: bool = True,
) -> dict[str, Any]:
    """Keep some instances, and move them into a crop.

    Args:
        results: ``gt_bboxes``, with ``gt_bboxes_labels``, ``gt_ignore_flags``
            and ``gt_masks`` where these are there; changed in place.
        crop: (4,), xyxy in whole pixels.
        kept: (N,), which of the instances are kept.
        clip: Clip the boxes to the crop.

    Returns:
        ``results``.
    """
    left, top, right, bottom = crop.tolist()
    boxes = results['gt_bboxes'][kept]
    boxes.translate_([-left, -top])
    if clip:
        boxes.clip_([bottom - top, right - left])
    results['gt_bboxes'] = boxes
    for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
        if results.get(key) is not None:
            results[key] = results[key][kept]
    if results.get('gt_masks') is not None:
        masks = results['gt_masks'][kept.nonzero()[0]]
        results['gt_masks'] = masks.crop(crop)
    return results
