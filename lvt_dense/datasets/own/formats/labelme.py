"""LabelMe: a JSON file of shapes for every image."""

import base64
import binascii
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lvt_dense.datasets.segmentations import (
    box_of,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.progress import tqdm
from lvt_dense.utils.reading import read_json
from lvt_dense.utils.text import fold

from .coco_file import read_number
from .labeled_data import ALL, LabeledData, Object, Sample, text_of
from .tree import Tree, files_by_split
from .voc import note_unlabeled, report_missing, sort_classes

LAYOUT = 'LabelMe JSON'
LOOKED_FOR = 'LabelMe JSON (a .json file with shapes for every image)'
_CIRCLE_POINTS = 36


def find(tree: Tree) -> list[Path] | None:
    """Find label files; None if there is none."""
    files = [p for p in tree.with_suffix('.json') if p not in tree.known]
    # Those named like an image are looked at first: others may be large.
    files.sort(key=lambda p: fold(p.stem) not in tree.images_by_stem)
    for path in files[:5]:
        try:
            content = read_json(path)
        except UserError:
            if fold(path.stem) in tree.images_by_stem:
                raise
            continue
        if _is_labelme(content):
            return sorted(files)
    return None


def _is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(
        content.get('shapes'), list
    )


def read(tree: Tree, files: list[Path]) -> LabeledData:
    """Read all splits; the classes are in the order of the alphabet.

    Rectangles, polygons, circles and masks are objects; those of one label
    and one ``group_id`` are one object, and difficult ones do not count.
    Points and lines have no area and are left out.

    Raises:
        UserError: A file is broken; the message names it.
    """
    data = LabeledData(LAYOUT, tree.root, [], {})
    by_split = files_by_split(tree, files)
    if set(by_split) <= {None, 'trainval'}:
        by_split = {ALL: files}
    elif None in by_split:
        by_split.setdefault('train', []).extend(by_split.pop(None))
    names: dict[str, int] = {}
    for split, paths in by_split.items():
        split = str(split)
        if split != ALL:
            data.sources[split] = 'by folder'
        samples, missing = [], []
        for path in tqdm(paths, f'{split} labels', leave=False, delay=1):
            content = read_json(path)
            if not _is_labelme(content):
                continue
            sample = _read(tree, path, content, split, names, data)
            if sample is None:
                missing.append(path.name)
            else:
                samples.append(sample)
        report_missing(tree, data, split, missing, len(paths))
        data.splits[split] = sorted(samples, key=lambda s: s.path.as_posix())
    note_unlabeled(tree, data)
    sort_classes(data, names)
    return data


def _read(
    tree: Tree,
    path: Path,
    content: dict,
    split: str,
    names: dict[str, int],
    data: LabeledData,
) -> Sample | None:
    """Read a file; None if its image is not there."""
    match = tree.find_stem(path.stem, path, split)
    name = content.get('imagePath')
    if match is None and isinstance(name, str):
        match = tree.find_image(name, [path.parent], split)
    if match is None:
        return None
    sample = Sample(
        match.path,
        int(read_number(content.get('imageWidth')) or 0),
        int(read_number(content.get('imageHeight')) or 0),
        name=tree.relative(path),
        strength=match.strength,
    )
    groups: dict[Any, Object] = {}
    for number, shape in enumerate(content['shapes'], 1):
        where = f'{path}: shape {number}'
        item = _object(shape, where, names, data, sample)
        if item is None:
            continue
        key = shape.get('group_id')
        key = (item.label, str(key)) if key is not None else object()
        if key in groups and _can_join(groups[key], item):
            _join(groups[key], item)
        else:
            groups[key] = item
            sample.objects.append(item)
    return sample


def _object(
    shape: Any,
    where: str,
    names: dict[str, int],
    data: LabeledData,
    sample: Sample,
) -> Object | None:
    if not isinstance(shape, dict) or shape.get('label') in (None, ''):
        raise UserError(f'{where} has no label')
    kind = shape.get('shape_type') or 'polygon'
    points = _points(shape.get('points'), where)
    polygon: Any = None
    if kind == 'rectangle' and len(points) >= 2:
        box = _box_of(points)
    elif kind == 'circle' and len(points) == 2:
        polygon = _circle(*points)
        box = _box_of(polygon)
    elif kind == 'mask' and len(points) == 2:
        box = _box_of(points)
        polygon = _mask(shape.get('mask'), points[0], where, sample)
    elif kind in ('polygon', 'rotation'):  # a turned box of X-AnyLabeling
        if len(points) < 3:
            data.findings.add(
                'polygons have fewer than three points and are left out',
                where,
            )
            return None
        polygon = points
        box = _box_of(points)
    else:
        data.findings.add(
            f'shapes of the kind {kind} have no area and are left out', where
        )
        return None
    name = text_of(shape['label'], f'{where} has the label')
    label = names.setdefault(name, len(names))
    if isinstance(polygon, list):
        polygon = [[v for point in polygon for v in point]]
    return Object(
        label,
        box,
        polygon,
        is_crowd=shape.get('difficult') is True,  # as X-AnyLabeling writes
        source=where.split('/')[-1],
    )


def _points(points: Any, where: str) -> list[tuple[float, float]]:
    try:
        pairs = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError):
        raise UserError(
            f'{where} has points {str(points)[:60]}, not pairs of numbers'
        ) from None
    if not all(math.isfinite(v) for pair in pairs for v in pair):
        raise UserError(f'{where} has a point that is not finite')
    return pairs


def _box_of(
    points: list[tuple[float, float]],
) -> tuple[float, float, float, float]:
    xs, ys = zip(*points)
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _circle(
    center: tuple[float, float], rim: tuple[float, float]
) -> list[tuple[float, float]]:
    radius = math.dist(center, rim)
    angles = [2 * math.pi * i / _CIRCLE_POINTS for i in range(_CIRCLE_POINTS)]
    return [
        (center[0] + radius * math.cos(a), center[1] + radius * math.sin(a))
        for a in angles
    ]


def _mask(
    code: Any, corner: tuple[float, float], where: str, sample: Sample
) -> dict | None:
    """Run lengths of a mask that is stored as a picture of its box."""
    from pycocotools import mask as coco_mask

    try:
        with Image.open(io.BytesIO(base64.b64decode(code))) as picture:
            part = np.array(picture) > 0
    except (TypeError, ValueError, OSError, binascii.Error):
        raise UserError(f'{where} has a mask that is no picture') from None
    if not (sample.width and sample.height):
        return None
    whole = np.zeros((sample.height, sample.width), np.uint8)
    x, y = (round(v) for v in corner)
    target = whole[y : y + part.shape[0], x : x + part.shape[1]]
    target[:] = part[: target.shape[0], : target.shape[1]]
    rle = coco_mask.encode(np.asfortranarray(whole))
    return dict(size=list(whole.shape), counts=rle['counts'].decode())


def _can_join(first: Object, second: Object) -> bool:
    return isinstance(first.segmentation, list) and isinstance(
        second.segmentation, list
    )


def _join(first: Object, second: Object) -> None:
    polygons = [
        polygon
        for item in (first, second)
        if isinstance(item.segmentation, list)
        for polygon in item.segmentation
    ]
    first.segmentation = polygons
    box = box_of(polygons)
    if box is not None:
        first.bbox = (box[0], box[1], box[2], box[3])
