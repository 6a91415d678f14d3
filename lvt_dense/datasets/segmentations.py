"""Polygons and run lengths, as tools write them and as they ought to be."""

from array import array
from typing import Any

import numpy as np

_MAX_SIDE = 2**16  # pixels; pycocotools counts in 32 bits


def read_segmentation(value: Any) -> tuple[list | dict | None, str | None]:
    """Read the segmentation of a COCO annotation.

    Besides a list of polygons, one polygon as a flat list of numbers, as a
    list of pairs or of ``{"x": ..., "y": ...}`` is taken.

    Returns:
        Polygons (x, y, x, y, ...) of three or more points, or compressed run
        lengths, or None; and what is wrong with it, or None.
    """
    if not value:
        return None, None
    if isinstance(value, dict):
        return _read_rle(value)
    if not isinstance(value, list):
        return None, 'masks are neither polygons nor run lengths'
    polygons = [_read_polygon(item) for item in _polygons_of(value)]
    good = [polygon for polygon in polygons if polygon is not None]
    fault = None
    if len(good) < len(polygons):
        fault = 'polygons have fewer than three points or no numbers'
    return good or None, fault


def _polygons_of(value: list) -> list:
    """Return the polygons of a list that may be a single one."""
    first = value[0]
    if isinstance(first, list):
        pairs = len(value) > 2 and all(
            isinstance(point, list) and len(point) == 2 for point in value
        )
        return [[v for point in value for v in point]] if pairs else value
    if isinstance(first, dict):
        points = [
            (p.get('x'), p.get('y')) if isinstance(p, dict) else (None, None)
            for p in value
        ]
        return [[v for point in points for v in point]]
    return [value]


def _read_polygon(points: Any) -> array | None:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return None
    try:
        polygon = array('d', points)
    except (TypeError, OverflowError):
        try:
            polygon = array('d', [float(v) for v in points])
        except (TypeError, ValueError, OverflowError):
            return None
    total = sum(polygon)
    return polygon if total - total == 0 else None  # not NaN, not infinite


def _read_rle(value: dict) -> tuple[dict | None, str | None]:
    from pycocotools import mask as coco_mask

    fault = rle_fault(value)
    if fault:
        return None, f'masks have run lengths {fault}'
    size = [int(v) for v in value['size']]
    counts = value['counts']
    if isinstance(counts, list):
        code = coco_mask.frPyObjects(dict(size=size, counts=counts), *size)
        counts = code['counts']
    if isinstance(counts, bytes):
        counts = counts.decode('ascii')
    return dict(size=size, counts=counts), None


def rle_fault(value: dict) -> str | None:
    """Say what is wrong with run lengths, or None.

    pycocotools decodes lengths that do not fill the image, and leaves the
    rest of the mask as the memory was.

    Args:
        value: COCO's run lengths, compressed or not.
    """
    size, counts = value.get('size'), value.get('counts')
    if (
        not isinstance(size, (list, tuple))
        or len(size) != 2
        or not all(_is_integer(v) and 0 < v <= _MAX_SIDE for v in size)
    ):
        return 'without a size [height, width]'
    if isinstance(counts, list):
        if not counts or not all(_is_integer(v) and v >= 0 for v in counts):
            return 'that are no whole numbers from 0 on'
        total = sum(counts)
    elif isinstance(counts, (str, bytes)):
        lengths = _decompress(counts)
        if lengths is None:
            return 'that are cut off'
        if lengths.min(initial=0) < 0:
            return 'that are damaged'
        total = int(lengths.sum())
    else:
        return 'without counts'
    pixels = int(size[0]) * int(size[1])
    if total != pixels:
        return f'of {total} pixels for an image of {pixels}'
    return None


def _is_integer(value: Any) -> bool:
    return type(value) is int or (
        isinstance(value, float) and value.is_integer()
    )


def _decompress(counts: str | bytes) -> np.ndarray | None:
    """Decode COCO's compressed run lengths; None if they are cut off.

    Six bits a character from code 48 on: five of the number, the least first,
    and one that says that more follow. The last character of a number has
    its sign. From the fourth on, lengths are differences from the last but
    one.
    """
    data = counts.encode('latin-1', 'replace') if isinstance(
        counts, str) else counts  # fmt: skip
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63:
        return None
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(ends) or ends[-1] != len(codes) - 1:
        return None
    starts = np.concatenate(([0], ends[:-1] + 1))
    digits = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if digits.max() > 7:
        return None
    numbers = np.add.reduceat((codes & 31) << 5 * digits, starts)
    negative = codes[ends] & 16 != 0
    numbers[negative] -= 1 << 5 * (digits[ends][negative] + 1)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def polygon_area(points: Any) -> float:
    """Return the area of a polygon (x, y, x, y, ...)."""
    xs, ys = points[::2], points[1::2]
    pairs = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1])
    return abs(sum(x1 * y2 - x2 * y1 for x1, y1, x2, y2 in pairs)) / 2


def box_of(
    segmentation: list | dict | None,
) -> tuple[float, float, float, float] | None:
    """Return the box (x, y, width, height) around a mask, if any."""
    if isinstance(segmentation, dict):
        from pycocotools import mask as coco_mask

        x, y, width, height = coco_mask.toBbox(segmentation).tolist()
        return x, y, width, height
    if not segmentation:
        return None
    xs = [v for polygon in segmentation for v in polygon[::2]]
    ys = [v for polygon in segmentation for v in polygon[1::2]]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
