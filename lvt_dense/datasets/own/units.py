"""Boxes in other units than pixels, or in another form."""

import numpy as np

from lvt_dense.datasets.own.formats import coco, yolo
from lvt_dense.datasets.own.formats.box_forms import (
    CENTER,
    CORNERS,
    FORMS,
    LEFT_TOP,
    to_corners,
)
from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.utils.errors import UserError

_SMALL = 8  # pixels; fractions of such an image may be pixels
_OVER = 0.3  # share of boxes beyond their image that needs a reason
_MARGIN = 0.05  # share of a side; boxes are drawn carelessly, or rounded
_LEAST = 3  # boxes beyond their image, or with an area, that make a rule
_MANY = 50  # boxes before centers are suspected, which fit whole objects too
_LARGE = 250  # pixels
_PERCENT = 20  # boxes that are enough to suspect percent
_SAME_AREA = 0.02  # relative difference
_OTHER_AREA = 0.1
_LARGER_AREA = 1.5  # times that of the box


def check_units(data: LabeledData) -> None:
    """Refuse boxes that are not in the units and the form of their layout.

    Args:
        data: Labels whose samples have the size of their image.

    Raises:
        UserError: All boxes are between 0 and 1, or many reach past their
            image and all fit in another form, or their areas do.
    """
    pairs = [
        (sample, item)
        for samples in data.splits.values()
        for sample in samples
        for item in sample.objects
        if not (data.is_normalized and item.segmentation)
        and item.bbox[2] > 0
        and item.bbox[3] > 0
    ]
    if not pairs:
        return
    boxes = np.array([item.bbox for _, item in pairs], float)
    sizes = np.array([(s.width, s.height) for s, _ in pairs], float)
    if not data.is_normalized:
        _check_range(data, pairs, boxes, sizes)
    if data.layout == coco.LAYOUT:
        _check_form(data, LEFT_TOP, pairs, boxes, sizes)
        _check_area(data, pairs, boxes)
    elif data.layout == yolo.LAYOUT:
        _check_form(data, CENTER, pairs, boxes, sizes)


def _check_range(
    data: LabeledData,
    pairs: list[tuple[Sample, Object]],
    boxes: np.ndarray,
    sizes: np.ndarray,
) -> None:
    """Refuse fractions, and say that boxes may be percent."""
    ends = (boxes[:, :2] + boxes[:, 2:]).max(1)
    sides = sizes.min(1)
    example, total = _describe(*pairs[0]), len(pairs)
    if (ends <= 1.05).all() and (sides > _SMALL).all():
        raise UserError(
            f'--data {data.root}: all {total} boxes are between 0 and 1 '
            f'({example}): they are fractions of the image, where '
            f'{data.layout} has pixels; multiply them by width and height'
        )
    percent = (ends <= 100.5).all() and (sides > _LARGE).all()
    if percent and total >= _PERCENT:
        data.findings.add(
            'boxes all end before 100, while the images are larger: they may '
            'be percent, and must be pixels',
            example,
            total,
        )


def _check_form(
    data: LabeledData,
    own: str,
    pairs: list[tuple[Sample, Object]],
    boxes: np.ndarray,
    sizes: np.ndarray,
) -> None:
    """Refuse boxes that lie in their images only in another form.

    Right boxes may reach past their image as well, where objects are labeled
    as a whole; then some box does not fit in the other form.
    """
    numbers = boxes.copy()
    if own == CENTER:
        numbers[:, :2] += boxes[:, 2:] / 2
    over = ~_is_inside(to_corners(numbers, own), sizes, _MARGIN * sizes)
    if over.sum() < _LEAST or over.mean() <= _OVER:
        return
    for form in FORMS:
        if form == own or (form == CENTER and len(pairs) < _MANY):
            continue
        if _is_inside(to_corners(numbers, form), sizes, 1.0).all():
            example = _describe(*pairs[int(over.argmax())])
            raise UserError(
                f'--data {data.root}: {over.sum()} of {len(pairs)} boxes '
                f'reach past their image ({example}), and all would fit as '
                f'[{form}]; {data.layout} has [{own}]'
            )


def _is_inside(
    corners: np.ndarray, sizes: np.ndarray, margin: np.ndarray | float
) -> np.ndarray:
    low, high = corners[:, :2], corners[:, 2:]
    inside: np.ndarray = (
        (low >= -margin) & (low <= high) & (high <= sizes + margin)
    )
    return np.all(inside, axis=1)


def _check_area(
    data: LabeledData, pairs: list[tuple[Sample, Object]], boxes: np.ndarray
) -> None:
    """Refuse corners whose area in the file is that of the box."""
    areas = np.array([item.area or 0 for _, item in pairs], float)
    known = areas > 0
    boxes, areas = boxes[known], areas[known]
    if len(areas) < _LEAST:
        return
    larger = areas > _LARGER_AREA * boxes[:, 2:].prod(1)
    if larger.any():
        owners = [pair for pair, has in zip(pairs, known) if has]
        data.findings.add(
            'objects have a larger area than their box, by which metrics '
            'tell small from large ones',
            _describe(*owners[int(larger.argmax())]),
            int(larger.sum()),
        )
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    as_corners = np.abs(sides.prod(1) / areas - 1)
    as_they_are = np.abs(boxes[:, 2:].prod(1) / areas - 1)
    if (as_corners <= _SAME_AREA).all() and (
        as_they_are > _OTHER_AREA
    ).sum() >= _LEAST:
        example = _describe(*pairs[int(known.argmax())])
        raise UserError(
            f'--data {data.root}: the boxes are [{CORNERS}], as their areas '
            f'show ({example}); {data.layout} has [{LEFT_TOP}]'
        )


def _describe(sample: Sample, item: Object) -> str:
    numbers = ', '.join(f'{v:g}' for v in item.bbox)
    return f'{sample.path.name} ({item.source}): {numbers}'
