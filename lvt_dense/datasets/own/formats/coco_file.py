"""One COCO annotation file, read in one pass."""

import math
from pathlib import Path
from typing import Any

from lvt_dense.datasets.segmentations import (
    box_of,
    polygon_area,
    read_segmentation,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.json_scan import (
    load_again,
    read_for_scan,
    scan_object,
)
from lvt_dense.utils.reading import read_json

from .box_forms import Box
from .labeled_data import Object

_LISTS = ('images', 'annotations', 'categories')
_NUMBERS = {int, float}
# From this share on, run lengths with iscrowd are objects drawn with a brush:
# COCO itself has crowds of 1 %.
_BRUSH_SHARE = 1 / 3
_COMPARED = 5000  # boxes of a file that are compared with their masks


class CocoFile:
    """What an annotation file holds.

    Attributes:
        path: The file.
        images: As they stand there.
        categories: Likewise.
        annotations: Object, image id, category id and id of each; the labels
            are not set yet. None if the file has no such list.
        brushed: Objects with run lengths and iscrowd.
        outlined: Box, box around the mask, and id of some annotations.
        faults: What is wrong with segmentations, and where.
        fault: Why it cannot be used; None if it can.
    """

    def __init__(self, path: Path, masks: bool) -> None:
        self.path = path
        self.masks = masks
        self.images: list | None = None
        self.categories: list | None = None
        self.annotations: list[tuple[Object, Any, Any, Any]] | None = None
        self.brushed: list[Object] = []
        self.outlined: list[tuple[Box, Box, Any]] = []
        self.faults: list[tuple[str, str]] = []
        self.fault: UserError | None = None
        self._is_marked = False

    @property
    def is_coco(self) -> bool:
        """Whether it is an annotation file at all."""
        return self.images is not None and not (
            self.annotations is None and self.categories is None
        )

    @property
    def brush_counts(self) -> bool:
        """Whether run lengths with iscrowd stand for single objects.

        CVAT and Datumaro write them for masks, and mark occlusion in
        ``attributes``.
        """
        total = len(self.annotations or ())
        return bool(self.brushed) and (
            self._is_marked or len(self.brushed) >= _BRUSH_SHARE * total
        )

    def take(self, key: str, value: Any) -> None:
        """Take an item of a list; None starts the list."""
        if value is None and getattr(self, key) is None:
            setattr(self, key, [])
        elif key != 'annotations':
            getattr(self, key).append(value)
        elif self.fault is None:
            assert self.annotations is not None
            try:
                self.annotations.append(
                    self._annotation(value, len(self.annotations))
                )
            except UserError as error:
                self.fault = error

    def _annotation(
        self, ann: Any, index: int
    ) -> tuple[Object, Any, Any, Any]:
        where = f'{self.path}: annotations[{index}]'
        if type(ann) is not dict:
            raise UserError(f'{where} is no object')
        number = ann.get('id')
        if number is not None and type(number) is not int:
            number = read_id(number, f'{where} has id')
        try:
            image, category = ann['image_id'], ann['category_id']
        except KeyError as error:
            raise UserError(f'{where} lacks {error.args[0]}') from None
        if type(image) is not int:
            image = read_id(image, f'{where} has image_id')
        if type(category) is not int:
            category = read_id(category, f'{where} has category_id')
        item = self._object(ann, index, number)
        return item, image, category, number

    def _object(self, ann: dict, index: int, number: Any) -> Object:
        raw = ann.get('segmentation')
        box = _read_box(ann.get('bbox'))
        area = read_number(ann.get('area'))
        is_missing = not ann.get('bbox') or box == (0, 0, 0, 0)
        is_compared = len(self.outlined) < _COMPARED
        segmentation = fault = None
        if raw and (self.masks or is_compared or is_missing or not area):
            segmentation, fault = read_segmentation(raw)
        if fault and (self.masks or is_missing):
            name = f'{self.path.name} annotation {number}'
            self.faults.append((fault, name))
        if segmentation and is_missing:
            box = box_of(segmentation)
        elif segmentation and is_compared and not fault and box:
            self._compare(box, box_of(segmentation), number)
        if box is None:
            raise UserError(
                f'{self.path}: annotations[{index}] (id {number}) has bbox '
                f'{str(ann.get("bbox"))[:60]}, not four numbers [x, y, '
                'width, height]'
            )
        if not area and isinstance(segmentation, list):
            area = sum(polygon_area(p) for p in segmentation)
        is_crowd, ignored = _is_set(ann, 'iscrowd'), _is_set(ann, 'ignore')
        item = Object(
            -1,
            box,
            segmentation if self.masks else None,
            is_crowd or ignored,
            area,
            index if number is None else number,
        )
        if is_crowd and not ignored and isinstance(raw, dict):
            self.brushed.append(item)
        if not self._is_marked and is_crowd:
            attributes = ann.get('attributes')
            self._is_marked = (
                isinstance(attributes, dict) and 'occluded' in attributes
            )
        return item

    def _compare(self, box: Box, around: Box | None, number: Any) -> None:
        if around and min(*box[2:], *around[2:]) > 0:
            self.outlined.append((box, around, number))


def read_coco_file(path: Path, masks: bool) -> CocoFile | None:
    """Read an annotation file; None if it is another JSON file.

    Args:
        path: The file.
        masks: Keep polygons and run lengths.

    Raises:
        UserError: It is no JSON.
    """
    text = read_for_scan(path)
    found = CocoFile(path, masks)
    is_ascii = text.isascii()
    try:
        for item in scan_object(text, _LISTS):
            key, value = item.key, item.value
            if key not in _LISTS:
                continue
            if item.start < 0:
                found.take(key, None)
                continue
            if getattr(found, key) is None:
                found.fault = UserError(f'{path}: {key} is no list')
                continue
            if not is_ascii and key != 'annotations':
                value = load_again(text, item)
            found.take(key, value)
    except ValueError:
        read_json(path)  # says where it is broken
        return None
    return found if found.is_coco else None


def read_id(value: Any, what: str) -> int | str:
    """Read an id, which some tools write as text.

    Raises:
        UserError: It is no number and no text.
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is int:
        return value
    raise UserError(
        f'{what} {str(value)[:60]}, which is neither a number nor a text'
    )


def read_number(value: Any) -> float | None:
    """Return the value as a float; None if it is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _read_box(value: Any) -> Box | None:
    if type(value) is not list or len(value) != 4:
        return None
    if not set(map(type, value)) <= _NUMBERS:
        value = [read_number(v) for v in value]
        if None in value:
            return None
    try:
        x, y, width, height = map(float, value)
    except OverflowError:
        return None
    total = x + y + width + height
    return (x, y, width, height) if total - total == 0 else None


def _is_set(ann: dict, key: str) -> bool:
    """Read a flag, which some tools write as text."""
    value = ann.get(key)
    if not value:
        return False
    if isinstance(value, str):
        return value.strip().lower() not in ('', '0', 'false', 'no', 'none')
    return bool(value)
