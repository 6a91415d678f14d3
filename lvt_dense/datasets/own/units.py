"""Boxes in other units than pixels, or in another form."""

from collections.abc import Iterator

from lvt_dense.datasets.own.formats.labeled_data import LabeledData, Sample
from lvt_dense.utils.errors import UserError

_SMALL = 8  # pixels; fractions of such an image may be pixels
_OVER = 0.3  # share of boxes beyond their image that needs a reason
_LARGE = 250  # pixels
_PERCENT = 20  # boxes that are enough to suspect percent


def check_units(data: LabeledData) -> None:
    """Refuse boxes that are not [x, y, width, height] in pixels.

    Args:
        data: Labels whose samples have the size of their image.

    Raises:
        UserError: All boxes are between 0 and 1, or are corners.
    """
    total = over = 0
    fractions = corners = percent = True
    example = ''
    for sample, (x, y, w, h) in _boxes(data):
        width, height = sample.width, sample.height
        x2, y2 = x + w, y + h
        total += 1
        example = example or f'{sample.path.name}: {x:g}, {y:g}, {w:g}, {h:g}'
        fractions &= max(x2, y2) <= 1.05 and min(width, height) > _SMALL
        over += x2 > width + 1 or y2 > height + 1
        corners &= x < w <= width + 1 and y < h <= height + 1
        percent &= max(x2, y2) <= 100.5 and min(width, height) > _LARGE
    if not total or data.is_normalized:
        return
    if fractions:
        raise UserError(
            f'--data {data.root}: all {total} boxes are between 0 and 1 '
            f'({example}): they are fractions of the image, where '
            f'{data.layout} has pixels; multiply them by width and height'
        )
    if over >= 3 and over > _OVER * total and corners:
        raise UserError(
            f'--data {data.root}: {over} of {total} boxes reach past their '
            f'image ({example}), and all would fit as [left, top, right, '
            'bottom]; bbox must be [left, top, width, height]'
        )
    if percent and total >= _PERCENT:
        data.findings.add(
            'boxes all end before 100, while the images are larger: they may '
            'be percent, and must be pixels',
            example,
            total,
        )


def _boxes(data: LabeledData) -> Iterator[tuple[Sample, tuple]]:
    for samples in data.splits.values():
        for sample in samples:
            for item in sample.objects:
                yield sample, item.bbox
