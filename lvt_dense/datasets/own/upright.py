"""Find out whether the labels of images with an EXIF rotation are rotated."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lvt_dense.datasets.image_files import read_image, turn_pixels
from lvt_dense.datasets.own.formats.labeled_data import LabeledData, Sample
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .mask_files import Scan, read_pixels
from .masks import Coding

_LOOKED_AT = 20  # images
_SIDE = 256  # pixels at which images are compared
_CLEAR = 1.2  # times that one way explains more than the other


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the size of a stored picture after turning it."""
    return (size[1], size[0]) if orientation > 4 else size


def find_stored(
    data: LabeledData, scans: dict[Path, Scan], coding: Coding
) -> set[Path]:
    """Find the masks that lie as their images are stored.

    Images with an EXIF rotation are loaded upright, and so must be their
    masks. Where the size does not tell, as with a half turn, those decide
    whose size does, and else whether the colors of the image change at the
    borders of the mask.

    Raises:
        UserError: Nothing tells.
    """
    stored: set[Path] = set()
    upright = 0
    open_cases: list[Sample] = []
    for samples in data.splits.values():
        for sample in samples:
            scan = scans.get(sample.mask) if sample.mask else None
            if sample.orientation == 1 or scan is None or scan.error:
                continue
            size = sample.width, sample.height
            turned = turned_size(scan.size, sample.orientation)
            if scan.size == turned == size:
                open_cases.append(sample)
            elif turned == size:
                stored.add(sample.mask)  # type: ignore[arg-type]
            else:
                upright += 1
    if open_cases:
        is_stored = bool(stored)
        if bool(stored) == bool(upright):
            is_stored = _decide_masks(open_cases, coding)
        if is_stored:
            stored |= {s.mask for s in open_cases if s.mask}
    if stored:
        data.findings.add(
            'masks lie as their images are stored, and are turned with them',
            shorten((p.name for p in sorted(stored)), 1),
            len(stored),
        )
    return stored


def _decide_masks(samples: list[Sample], coding: Coding) -> bool:
    pairs = []
    for sample in samples[:_LOOKED_AT]:
        assert sample.mask is not None
        labels = coding.apply(read_pixels(sample.mask)).astype(np.int64)
        pairs.append((sample, labels))
    verdict = fits_stored(pairs)
    if verdict is None:
        names = [s.path.name for s in samples]
        raise UserError(
            f'{len(samples)} images have an EXIF rotation ({shorten(names, 3)}'
            '), and it is unknown whether their masks are rotated as well; '
            'save the images upright, such as by ImageOps.exif_transpose of '
            'Pillow'
        )
    return verdict


def fits_stored(pairs: list[tuple[Sample, np.ndarray]]) -> bool | None:
    """Whether label maps fit images as they are stored, not upright.

    Args:
        pairs: Images with an EXIF rotation that keeps their size, and their
            label maps (H, W).

    Returns:
        None if neither fits better.
    """
    stored = upright = 0.0
    for sample, labels in pairs:
        image = read_image(sample.path)
        if image is None or image.shape[:2] != labels.shape:
            continue
        scale = min(1.0, _SIDE / max(labels.shape))
        size = [max(1, round(side * scale)) for side in labels.shape[::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        turned = turn_pixels(labels, sample.orientation)
        stored += _explained(image, _shrink(turned, size))
        upright += _explained(image, _shrink(labels, size))
    low, high = sorted((stored, upright))
    if high <= 0 or high < _CLEAR * low:
        return None
    return stored > upright


def _shrink(labels: np.ndarray, size: Any) -> np.ndarray:
    labels = np.ascontiguousarray(labels, np.float32)
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def _explained(image: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the variance of colors that labels explain."""
    colors = image.reshape(-1, image.shape[-1]).astype(np.float64)
    _, groups = np.unique(labels.ravel(), return_inverse=True)
    groups = groups.ravel()
    sizes = np.bincount(groups)
    total = ((colors - colors.mean(0)) ** 2).sum()
    between = 0.0
    for channel in colors.T:
        means = np.bincount(groups, channel) / sizes
        between += float((sizes * (means - channel.mean()) ** 2).sum())
    return between / total if total else 0.0
