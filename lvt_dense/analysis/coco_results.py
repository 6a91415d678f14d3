"""Read results in COCO's format, with their annotations."""

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import read_text

from .recording import coco_truths
from .records import (
    Images,
    Objects,
    Record,
    empty_objects,
    mask_areas,
)


def read_coco_results(
    path: str | Path,
    annotations: str | Path,
    images: str | Path | None = None,
) -> Record:
    """Read results of detection or instance segmentation.

    Args:
        path: COCO results: a list of ``image_id``, ``category_id``,
            ``score``, and ``bbox`` or ``segmentation``.
        annotations: COCO annotations of the same images.
        images: Folder of the images, for the pictures.

    Raises:
        UserError: A file is missing or has another format, or the results
            are of images or categories that the annotations do not have.
    """
    rows = _read_json(path)
    content = _read_json(annotations)
    if not isinstance(rows, list) or (
        rows and not {'image_id', 'category_id', 'score'} <= set(rows[0])
    ):
        raise UserError(
            f'{path}: not a list of COCO results (image_id, category_id, '
            'score, bbox or segmentation)'
        )
    if not isinstance(content, dict) or 'categories' not in content:
        raise UserError(f'{annotations}: no COCO annotations')
    api = COCO()
    api.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        api.createIndex()
    names = [c['name'] for c in content['categories']]
    infos = sorted(content['images'], key=lambda info: info['id'])
    folder = Path(images) if images else None
    has_masks = bool(rows) and 'segmentation' in rows[0]
    record = Record(
        task='instance' if has_masks else 'detection',
        classes=names,
        palette=[],
        images=Images(
            [str(info['id']) for info in infos],
            [str(folder / i['file_name']) if folder else '' for i in infos],
            np.array([(i['height'], i['width']) for i in infos]),
        ),
        truths=empty_objects(),
        detections=empty_objects(),
        about=dict(config=Path(path).name),
    )
    record.truths = coco_truths(api, record, has_masks)
    places = {info['id']: i for i, info in enumerate(infos)}
    labels = {c['id']: i for i, c in enumerate(content['categories'])}
    record.detections = _detections(rows, places, labels, has_masks, path)
    return record


def _detections(
    rows: Sequence[dict],
    places: dict[Any, int],
    labels: dict[int, int],
    has_masks: bool,
    path: str | Path,
) -> Objects:
    for row in rows:
        if row['image_id'] not in places or row['category_id'] not in labels:
            raise UserError(
                f'{path}: a result has image_id {row["image_id"]!r} and '
                f'category_id {row["category_id"]!r}, which are not both in '
                'the annotations; give the annotations of the same data set'
            )
    codes = [row['segmentation'] for row in rows] if has_masks else []
    return Objects.build(
        [places[row['image_id']] for row in rows],
        [labels[row['category_id']] for row in rows],
        coco_mask.toBbox(codes)
        if has_masks
        else np.array([row['bbox'] for row in rows]).reshape(-1, 4),
        [row['score'] for row in rows],
        mask_areas(codes) if has_masks else None,
        masks=[_as_bytes(code['counts']) for code in codes],
    )


def _as_bytes(counts: str | bytes) -> bytes:
    return counts.encode() if isinstance(counts, str) else counts


def _read_json(path: str | Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f'{path}: not JSON ({error})') from None
