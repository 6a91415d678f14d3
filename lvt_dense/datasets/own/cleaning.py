"""Bring labels into the frame of the upright image, and sort out bad ones."""

from pathlib import Path

import numpy as np

from lvt_dense.datasets.own.formats.labeled_data import (
    Findings,
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .headers import Header, read_headers

_MIN_SIDE = 1e-3  # pixels; a box with a shorter side has no area
_SLACK = 1.0  # pixels by which a box may reach past the image unmentioned
_SAME_RATIO = 0.01


def clean(data: LabeledData) -> None:
    """Check every sample against its image, in place.

    Images that cannot be read, or that have another size than their labels
    say, are left out of training; boxes are clipped to their image, boxes
    without area and polygons of fewer than three points are left out.

    Args:
        data: Labels as a layout has them.

    Raises:
        UserError: An image of ``val`` or ``test`` cannot be used, or no
            image of a split can.
    """
    paths = [s.path for samples in data.splits.values() for s in samples]
    headers = read_headers(data.root, paths)
    for split, samples in data.splits.items():
        kept, bad = [], []
        for sample in samples:
            fault = _fit(sample, headers[sample.path], data)
            if fault:
                bad.append(f'{sample.path} ({fault})')
                continue
            sample.objects = [
                item
                for item in sample.objects
                if _clean_object(item, sample, data.findings)
            ]
            kept.append(sample)
        _judge(split, samples, bad, data.findings)
        data.splits[split] = kept


def _judge(
    split: str, samples: list[Sample], bad: list[str], findings: Findings
) -> None:
    if not bad:
        return
    if split in ('val', 'test'):
        raise UserError(
            f'{split}: {len(bad)} of {len(samples)} images cannot be used: '
            f'{shorten(bad, 3)}; replace or remove them, as a missing image '
            'would falsify the metrics'
        )
    if len(bad) == len(samples):
        raise UserError(
            f'{split}: none of the {len(samples)} images can be used: '
            f'{shorten(bad, 3)}'
        )
    for text in bad:
        findings.add('images cannot be used and are left out', text)


def _fit(sample: Sample, header: Header, data: LabeledData) -> str | None:
    """Give a sample the size of its upright image.

    Returns:
        Why it cannot be used, or None.
    """
    if header.error:
        return header.error
    stated = sample.width, sample.height
    upright = header.upright_size
    if header.orientation != 1:
        data.findings.add('images carry an EXIF rotation', sample.path.name)
    if not all(stated) or stated == upright:
        sample.width, sample.height = upright
        if data.is_normalized:
            _scale(sample.objects, *upright)
        return None
    if stated == (header.width, header.height):
        for item in sample.objects:
            turn(item, header)
        sample.width, sample.height = upright
        data.findings.add(
            'images have labels for the picture before its EXIF rotation, '
            'which are turned with it',
            sample.path.name,
        )
        return None
    ratio = stated[0] * upright[1] / (stated[1] * upright[0])
    if abs(ratio - 1) > _SAME_RATIO:
        return (
            f'is {upright[0]} x {upright[1]}, but its labels are for '
            f'{stated[0]} x {stated[1]}'
        )
    _scale(
        sample.objects, upright[0] / stated[0], upright[1] / stated[1]
    )  # fmt: skip
    sample.width, sample.height = upright
    data.findings.add(
        'images have another size than their labels say, which are scaled',
        f'{sample.path.name} ({upright[0]} x {upright[1]}, labels for '
        f'{stated[0]} x {stated[1]})',
    )
    return None


def _scale(objects: list[Object], x_scale: float, y_scale: float) -> None:
    scales = (x_scale, y_scale)
    for item in objects:
        x, y, w, h = item.bbox
        item.bbox = (x * x_scale, y * y_scale, w * x_scale, h * y_scale)
        if isinstance(item.segmentation, list):
            item.segmentation = [
                [v * scales[i % 2] for i, v in enumerate(polygon)]
                for polygon in item.segmentation
            ]
        elif item.segmentation is not None:
            item.segmentation = None  # run lengths hold for one size alone
        if item.area is not None:
            item.area *= x_scale * y_scale


def turn(item: Object, header: Header) -> None:
    """Turn an object with the picture, as EXIF's orientation says.

    Args:
        item: Object in the frame of the stored picture; changed in place.
        header: Of the picture.
    """
    w, h = header.width, header.height
    move = {
        2: lambda x, y: (w - x, y),
        3: lambda x, y: (w - x, h - y),
        4: lambda x, y: (x, h - y),
        5: lambda x, y: (y, x),
        6: lambda x, y: (h - y, x),
        7: lambda x, y: (h - y, w - x),
        8: lambda x, y: (y, w - x),
    }[header.orientation]
    x, y, width, height = item.bbox
    (x1, y1), (x2, y2) = move(x, y), move(x + width, y + height)
    item.bbox = (min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1))
    if isinstance(item.segmentation, list):
        item.segmentation = [
            [v for pair in zip(p[::2], p[1::2]) for v in move(*pair)]
            for p in item.segmentation
        ]
    elif item.segmentation is not None:
        item.segmentation = _turn_mask(item.segmentation, header.orientation)


def _turn_mask(rle: dict, orientation: int) -> dict:
    from pycocotools import mask as coco_mask

    mask = coco_mask.decode(to_rle(rle))
    turned = {
        2: lambda m: m[:, ::-1],
        3: lambda m: m[::-1, ::-1],
        4: lambda m: m[::-1],
        5: lambda m: m.T,
        6: lambda m: np.rot90(m, -1),
        7: lambda m: m[::-1, ::-1].T,
        8: lambda m: np.rot90(m, 1),
    }[orientation](mask)
    code = coco_mask.encode(np.asfortranarray(turned))
    return dict(size=list(turned.shape), counts=code['counts'].decode())


def to_rle(rle: dict) -> dict:
    """Return run lengths in pycocotools' compressed form."""
    from pycocotools import mask as coco_mask

    if isinstance(rle['counts'], list):
        return coco_mask.frPyObjects(rle, *rle['size'])
    return rle


def _clean_object(item: Object, sample: Sample, findings: Findings) -> bool:
    """Clip an object to its image; False if nothing of it is left."""
    where = f'{Path(sample.path).name} ({item.source})'
    x, y, width, height = item.bbox
    if width < _MIN_SIDE or height < _MIN_SIDE:
        findings.add('boxes have no area and are left out', where)
        return False
    x1, y1 = max(x, 0.0), max(y, 0.0)
    x2 = min(x + width, float(sample.width))
    y2 = min(y + height, float(sample.height))
    beyond = max(x1 - x, y1 - y, x + width - x2, y + height - y2)
    if x2 - x1 < _MIN_SIDE or y2 - y1 < _MIN_SIDE:
        findings.add('boxes lie outside their image and are left out', where)
        return False
    if beyond > _SLACK:
        findings.add('boxes reach past their image and are clipped', where)
    if beyond > 0:
        item.bbox = (x1, y1, x2 - x1, y2 - y1)
        item.area = None if item.segmentation is None else item.area
    _clean_mask(item, sample, findings, where)
    return True


def _clean_mask(
    item: Object, sample: Sample, findings: Findings, where: str
) -> None:
    if isinstance(item.segmentation, list):
        good = [p for p in item.segmentation if _is_polygon(p)]
        if len(good) < len(item.segmentation):
            findings.add(
                'polygons have fewer than three points or no numbers and '
                'are left out',
                where,
                len(item.segmentation) - len(good),
            )
        item.segmentation = good or None
    elif isinstance(item.segmentation, dict):
        size = item.segmentation.get('size')
        if 'counts' not in item.segmentation or (
            list(size or ()) != [sample.height, sample.width]
        ):
            findings.add(
                'masks have another size than their image and are left out',
                f'{where}, {size} for {[sample.height, sample.width]}',
            )
            item.segmentation = None
    elif item.segmentation is not None:
        findings.add('masks are neither polygons nor run lengths', where)
        item.segmentation = None


def _is_polygon(points: object) -> bool:
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and all(isinstance(v, (int, float)) for v in points)
        and bool(np.isfinite(points).all())
    )
