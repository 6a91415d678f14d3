"""Random records of detections, and their form for pycocotools."""

import contextlib
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from lvt_dense.analysis.records import (
    Images,
    Objects,
    Record,
    mask_areas,
)

SIZE = (150, 200)


def random_record(
    seed: int,
    images: int = 8,
    classes: int = 4,
    truths: int = 6,
    detections: int = 14,
    masks: bool = False,
    coarse_scores: bool = False,
) -> Record:
    """Objects at random, and detections near some of them.

    Args:
        seed: Seed of all random numbers.
        images: Number of images.
        classes: Number of classes.
        truths: Labeled objects an image; one in eight is a crowd.
        detections: Detections an image; half of them are near a truth.
        masks: Draw ellipses in the boxes.
        coarse_scores: Give many detections the same score.
    """
    rng = np.random.default_rng(seed)
    count = images * truths
    low = rng.uniform(0, (150, 100), (count, 2))
    size = np.exp(rng.uniform(np.log(8), np.log(150), (count, 2)))
    size = np.minimum(size, np.array(SIZE[::-1]) - low)
    boxes = np.concatenate((low, size), 1)
    labels = rng.integers(classes, size=count)
    owner = np.repeat(np.arange(images), truths)
    true = _objects(
        owner, labels, boxes, None, masks, rng.random(count) < 1 / 8
    )
    number = images * detections
    frame = np.repeat(np.arange(images), detections)
    near = rng.random(number) < 0.5
    chosen = frame * truths + rng.integers(truths, size=number)
    spread = rng.normal(0, 0.12, (number, 4)) * boxes[chosen][:, [2, 3, 2, 3]]
    other = rng.permutation(number) % count
    found = np.where(near[:, None], boxes[chosen] + spread, boxes[other])
    found[:, 2:] = np.maximum(found[:, 2:], 2)
    same = rng.random(number) < 0.8
    guess = np.where(same, labels[chosen], rng.integers(classes, size=number))
    scores = rng.random(number)
    if coarse_scores:
        scores = np.round(scores, 1)
    return Record(
        task='instance' if masks else 'detection',
        classes=[f'class {i}' for i in range(classes)],
        palette=[],
        images=Images(
            [str(i) for i in range(images)],
            [''] * images,
            np.tile(SIZE, (images, 1)),
        ),
        truths=true,
        detections=_objects(frame, guess, found, scores, masks),
    )


def _objects(
    images: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray | None,
    masks: bool,
    ignored: np.ndarray | None = None,
) -> Objects:
    codes = [_ellipse(box) for box in boxes] if masks else []
    areas = None
    if masks:
        areas = mask_areas([dict(size=SIZE, counts=c) for c in codes])
    return Objects.build(images, labels, boxes, scores, areas, ignored, codes)


def _ellipse(box: np.ndarray) -> bytes:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    center, half = box[:2] + box[2:] / 2, box[2:] / 2
    inside = ((x - center[0]) / half[0]) ** 2
    inside = inside + ((y - center[1]) / half[1]) ** 2 <= 1
    return coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))[
        'counts'
    ]


def to_coco(record: Record) -> tuple[COCO, list[dict]]:
    """A record as pycocotools has it: the truth, and a list of results."""
    truth = COCO()
    sizes = record.images.sizes.tolist()
    truth.dataset = dict(
        images=[
            dict(id=i, height=h, width=w) for i, (h, w) in enumerate(sizes)
        ],
        categories=[dict(id=c, name=n) for c, n in enumerate(record.classes)],
        annotations=[
            dict(row, id=k + 1, area=record.truths.areas[k], iscrowd=int(i))
            for k, (row, i) in enumerate(
                zip(_rows(record, record.truths), record.truths.ignored)
            )
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return truth, _rows(record, record.detections)


def _rows(record: Record, objects: Objects) -> list[dict]:
    rows = []
    for k in range(len(objects)):
        image = int(objects.images[k])
        row = dict(
            image_id=image,
            category_id=int(objects.labels[k]),
            bbox=objects.boxes[k].tolist(),
            score=float(objects.scores[k]),
        )
        if objects.masks:
            size = record.images.sizes[image].tolist()
            row['segmentation'] = dict(size=size, counts=objects.masks[k])
        rows.append(row)
    return rows
