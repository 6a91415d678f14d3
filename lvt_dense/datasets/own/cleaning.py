"""Bring labels into the frame of the upright image, and sort out bad ones."""

from pathlib import Path

import numpy as np

from lvt_dense.datasets.image_files import (
    Header,
    read_headers,
    turn_pixels,
)
from lvt_dense.datasets.own.formats.labeled_data import (
    Findings,
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .units import check_units
from .upright import fits_stored

_MIN_SIDE = 1.0  # pixels; MMDetection drops boxes with a shorter side
_NO_SIDE = 1e-3  # pixels; a box with a shorter side has no area
_SLACK = 1.0  # pixels by which a box may reach past the image unmentioned
_SAME_RATIO = 0.01
_LOOKED_AT = 20  # images with a half turn
_TURNED = (
    'images have labels for the picture before its EXIF rotation, which are '
    'turned with it'
)


def clean(data: LabeledData, bands: int = 3) -> None:
    """Check every sample against its image, in place.

    Images that cannot be read, or that have another size than their labels
    say, are left out of training; boxes are clipped to their image, boxes
    without area and polygons of fewer than three points are left out.

    Args:
        data: Labels as a layout has them.
        bands: Number of bands that the model takes.

    Raises:
        UserError: An image of ``val`` or ``test`` cannot be used, or no
            image of a split can.
    """
    paths = [s.path for samples in data.splits.values() for s in samples]
    headers = read_headers(data.root, paths)
    doubtful: list[Sample] = []
    for split, samples in data.splits.items():
        kept, bad = [], []
        for sample in samples:
            header = headers[sample.path]
            fault = band_fault(header, bands) or _fit(sample, header, data)
            if fault:
                bad.append(f'{sample.path} ({fault})')
                continue
            if header.orientation in (2, 3, 4) and sample.objects:
                doubtful.append(sample)
            kept.append(sample)
        _judge(split, samples, bad, data.findings)
        data.splits[split] = kept
    check_units(data)
    if doubtful:
        _turn_doubtful(doubtful, headers, data)
    for samples in data.splits.values():
        for sample in samples:
            sample.objects = [
                item
                for item in sample.objects
                if _clean_object(item, sample, data.findings)
            ]


def band_fault(header: Header, bands: int) -> str | None:
    """Say that an image is no color picture, for a model that takes one."""
    if header.mode.endswith('bands') and bands == 3:
        return (
            f'has {header.mode}: set model.backbone.in_channels to their '
            'number'
        )
    return None


def _turn_doubtful(
    samples: list[Sample], headers: dict[Path, Header], data: LabeledData
) -> None:
    """Turn labels with a rotation that the size of the image hides.

    Tools write labels of the upright image; where the image says otherwise,
    they are turned with it.
    """
    pairs = []
    for sample in samples:
        labels = np.zeros((sample.height, sample.width), np.int64)
        for item in sample.objects:
            x, y, w, h = (max(0, round(v)) for v in item.bbox)
            labels[y : y + h, x : x + w] = item.label + 1
        pairs.append((sample, labels))
        if len(pairs) == _LOOKED_AT:
            break
    if not fits_stored(pairs):
        return
    for sample in samples:
        for item in sample.objects:
            turn(item, headers[sample.path])
        data.findings.add(_TURNED, sample.path.name)


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
    sample.orientation = header.orientation
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
        data.findings.add(_TURNED, sample.path.name)
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

    mask = turn_pixels(coco_mask.decode(rle), orientation)
    code = coco_mask.encode(np.asfortranarray(mask))
    return dict(size=list(mask.shape), counts=code['counts'].decode())


def _clean_object(item: Object, sample: Sample, findings: Findings) -> bool:
    """Clip an object to its image; False if nothing of it is left."""
    x, y, width, height = item.bbox
    if width < _MIN_SIDE or height < _MIN_SIDE:
        flat = width < _NO_SIDE or height < _NO_SIDE
        kind = 'have no area' if flat else 'are smaller than a pixel'
        where = _name(item, sample)
        findings.add(f'boxes {kind} and are left out', where)
        return False
    x2, y2 = x + width, y + height
    beyond = x < 0 or y < 0 or x2 > sample.width or y2 > sample.height
    if beyond and not _clip(item, sample, findings):
        return False
    if item.segmentation is not None:
        _clean_mask(item, sample, findings)
    return True


def _clip(item: Object, sample: Sample, findings: Findings) -> bool:
    x, y, width, height = item.bbox
    x1, y1 = max(x, 0.0), max(y, 0.0)
    x2 = min(x + width, float(sample.width))
    y2 = min(y + height, float(sample.height))
    if x2 - x1 < _MIN_SIDE or y2 - y1 < _MIN_SIDE:
        findings.add(
            'boxes lie outside their image and are left out',
            _name(item, sample),
        )
        return False
    if max(x1 - x, y1 - y, x + width - x2, y + height - y2) > _SLACK:
        findings.add(
            'boxes reach past their image and are clipped',
            _name(item, sample),
        )
    item.bbox = (x1, y1, x2 - x1, y2 - y1)
    item.area = None if item.segmentation is None else item.area
    return True


def _name(item: Object, sample: Sample) -> str:
    return f'{sample.path.name} ({item.source})'


def _clean_mask(item: Object, sample: Sample, findings: Findings) -> None:
    if isinstance(item.segmentation, dict):
        size, expected = item.segmentation['size'], [
            sample.height, sample.width
        ]  # fmt: skip
        if list(size) != expected:
            findings.add(
                'masks have another size than their image and are left out',
                f'{_name(item, sample)}, {size} for {expected}',
            )
            item.segmentation = None
        return
    polygons = item.segmentation or []
    reach = 2 * max(sample.width, sample.height)
    good = [
        p
        for p in polygons
        if len(p) >= 6 and -reach < min(p) and max(p) < reach
    ]
    if len(good) < len(polygons):
        findings.add(
            'polygons have fewer than three points or lie far outside their '
            'image, and are left out',
            _name(item, sample),
            len(polygons) - len(good),
        )
    item.segmentation = good or None
