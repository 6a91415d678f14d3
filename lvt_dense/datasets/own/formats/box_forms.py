"""The four numbers of a box, and what tools take them for."""

from pathlib import Path
from typing import Any

import numpy as np

from lvt_dense.utils.errors import UserError

from .labeled_data import Findings

Box = tuple[float, float, float, float]

CORNERS = 'left, top, right, bottom'
LEFT_TOP = 'left, top, width, height'
CENTER = 'center x, center y, width, height'
FORMS = (CORNERS, LEFT_TOP, CENTER)

_LEAST = 3  # boxes that make a rule
_SAME = 0.7  # IoU of a box and its mask where both are right
_APART = 0.1  # share of the mask in its box where one of them is wrong
_MOST = 0.8  # share of the boxes that one reading must explain


def to_corners(numbers: np.ndarray, form: str) -> np.ndarray:
    """Return the corners of boxes.

    Args:
        numbers: (N, 4), of a form.
        form: One of ``FORMS``.

    Returns:
        (N, 4), left, top, right, bottom.
    """
    first, second = numbers[:, :2], numbers[:, 2:]
    if form == CORNERS:
        return numbers
    start = first - second / 2 if form == CENTER else first
    return np.hstack([start, start + second])


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of corners (N, 4) with corners (N, 4), row by row."""
    inner = _shared(first, second)
    union = _area(first) + _area(second) - inner
    return inner / np.maximum(union, 1e-9)


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:], second[:, 2:])
    return _area(np.hstack([low, high]))


def _area(corners: np.ndarray) -> np.ndarray:
    return np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(1)


def check_outlines(
    path: Path, outlined: list[tuple[Box, Box, Any]], findings: Findings
) -> None:
    """Compare the boxes of an annotation file with its masks.

    Boxes may be larger than what is seen of an object. So a file is refused
    only if another form of box fits nearly all masks, or if nearly no mask
    lies in its box.

    Args:
        path: The annotation file.
        outlined: Box of an object as it stands in the file, box
            [left, top, width, height] around its mask, id of the annotation.
        findings: Takes the boxes that do not meet their masks.

    Raises:
        UserError: The boxes have another form, or are in other units than
            the masks.
    """
    if not outlined:
        return
    boxes, masks, names = zip(*outlined)
    numbers = np.array(boxes, float)
    outlines = to_corners(np.array(masks, float), LEFT_TOP)
    fits = {f: iou(to_corners(numbers, f), outlines) > _SAME for f in FORMS}
    covered = _shared(to_corners(numbers, LEFT_TOP), outlines)
    apart = covered < _APART * _area(outlines)

    def example(wrong: np.ndarray) -> str:
        i = int(wrong.argmax())
        return (
            f'annotation {names[i]} has the box {_join(boxes[i])} around a '
            f'mask in {_join(masks[i])}'
        )

    enough = len(boxes) >= _LEAST
    if enough and fits[LEFT_TOP].mean() <= 1 - _MOST:
        for form in (CORNERS, CENTER):
            if fits[form].mean() >= _MOST:
                raise UserError(
                    f'{path}: the boxes are [{form}], as the masks show '
                    f'({example(~fits[LEFT_TOP])}); bbox must be [{LEFT_TOP}]'
                )
    if enough and apart.mean() >= _MOST:
        raise UserError(
            f'{path}: {apart.sum()} of {len(boxes)} boxes do not meet the '
            f'masks of their objects ({example(apart)}); boxes are '
            f'[{LEFT_TOP}] and polygons x, y, both in pixels, and run '
            'lengths go down the columns'
        )
    for index in np.flatnonzero(apart):
        findings.add(
            'boxes do not meet the masks of their objects',
            f'{path.name} annotation {names[index]}',
        )


def _join(numbers: Box) -> str:
    return f'[{", ".join(f"{v:g}" for v in numbers)}]'
