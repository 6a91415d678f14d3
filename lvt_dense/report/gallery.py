"""Sections with pictures: the worst and the best images, and crops."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from lvt_dense.analysis.detection import DetectionFigures
from lvt_dense.analysis.records import Images, Objects, Record
from lvt_dense.analysis.semantic import SemanticFigures, decode_map
from lvt_dense.structures import project_edges
from lvt_dense.visualization.seg_drawing import default_palette, overlay

from .page import Section, Shot, crops, gallery, paragraph
from .pictures import (
    IGNORED,
    MISSED,
    RIGHT,
    TRUTH,
    WRONG,
    Mark,
    crop,
    draw_marks,
    marks_of,
    read_upright,
    shrink,
    to_uri,
)

EACH = 12  # worst and best images
CROPS = 24
_OPACITY = 0.55

Pair = tuple[np.ndarray, np.ndarray]


def choose_images(errors: np.ndarray, weights: np.ndarray) -> list[int]:
    """Choose the worst and the best images.

    Args:
        errors: (I,) in [0, 1]; NaN leaves an image out.
        weights: (I,) number of errors, which decides between equal ones.
    """
    known = np.flatnonzero(~np.isnan(errors))
    order = known[np.lexsort((-weights[known], -errors[known]))]
    if len(order) <= 2 * EACH:
        return order.tolist()
    return [*order[:EACH].tolist(), *order[-EACH:].tolist()]


def image_errors(figures: DetectionFigures) -> np.ndarray:
    """Return the share of errors (I,) in each image; NaN where it is empty."""
    right, wrong, missed = figures.images.T
    total = figures.images.sum(1)
    return np.divide(
        wrong + missed,
        total,
        out=np.full(len(total), np.nan),
        where=total > 0,
    )


def detection_gallery(
    record: Record, figures: DetectionFigures
) -> list[Section]:
    """Show images with objects, and crops of what went wrong."""
    errors = image_errors(figures)
    chosen = choose_images(errors, figures.images[:, 1:].sum(1))
    shots = []
    for i in chosen:
        image = read_upright(record.images.paths[i])
        if image is None:
            continue
        truth, prediction = draw_objects(record, figures, i, image)
        right, wrong, missed = figures.images[i].tolist()
        name = _name(record.images, i)
        shots.append(
            Shot(
                name,
                to_uri(truth),
                to_uri(prediction),
                f'{name}: {right} right, {wrong} false positives, {missed} '
                'missed',
                float(errors[i]),
                missed,
                wrong,
            )
        )
    text = paragraph(
        f'At score {figures.score_thr:.3f}: right detections are green, '
        'false positives red; found objects are blue, missed ones orange, '
        'and gray ones do not count.',
        soft=True,
    )
    body = text + gallery(shots, 'images') if shots else ''
    return [
        Section(
            'Worst and best images',
            body + missing_images(len(chosen) - len(shots)),
        ),
        *_crop_sections(record, figures),
    ]


def missing_images(count: int) -> str:
    """Say how many images could not be shown."""
    if not count:
        return ''
    return paragraph(
        f'{count} images are not shown, because their files are not where '
        'they were (or no folder of images was given).'
    )


def draw_objects(
    record: Record, figures: DetectionFigures, i: int, image: np.ndarray
) -> Pair:
    """Draw truth and prediction of an image (H, W, 3), RGB."""
    truths, found = figures.truths, figures.detections
    own = np.flatnonzero(truths.images == i)
    colors = [
        IGNORED
        if truths.ignored[k]
        else MISSED
        if figures.is_missed[k]
        else TRUTH
        for k in own
    ]
    shown = (found.images == i) & (found.scores >= figures.score_thr)
    shown &= figures.is_right | figures.is_wrong
    rows = np.flatnonzero(shown)
    rows = rows[np.argsort(found.scores[rows], kind='stable')]
    verdicts = [RIGHT if figures.is_right[k] else WRONG for k in rows]
    sets = (
        (truths, own, colors, False),
        (found, rows, verdicts, True),
    )
    if record.task == 'mono3d':
        camera = record.extra['cameras'][i]
        return tuple(  # type: ignore[return-value]
            _draw_boxes_3d(image, objects, index, tones, camera)
            for objects, index, tones, _ in sets
        )
    return tuple(  # type: ignore[return-value]
        draw_marks(
            image,
            marks_of(objects, index, tones, record.classes, with_scores),
        )
        for objects, index, tones, with_scores in sets
    )


def _draw_boxes_3d(
    image: np.ndarray,
    objects: Objects,
    rows: np.ndarray,
    colors: Sequence[tuple[int, int, int]],
    camera: np.ndarray,
) -> np.ndarray:
    import torch

    canvas, factor = shrink(image, 2 * 448)
    canvas = canvas.copy()
    boxes = torch.from_numpy(objects.boxes_3d[rows].reshape(-1, 7).copy())
    segments, visible = project_edges(boxes, camera)
    for k, color in enumerate(colors):
        for start, stop in segments[k][visible[k]].numpy() * factor:
            ends = np.round((start, stop)).clip(-1e4, 1e4).astype(int)
            cv2.line(canvas, *ends.tolist(), color, 2, cv2.LINE_AA)
    return canvas


def _crop_sections(record: Record, figures: DetectionFigures) -> list[Section]:
    found, truths = figures.detections, figures.truths
    wrong = np.flatnonzero(figures.is_wrong)
    wrong = wrong[np.argsort(-found.scores[wrong], kind='stable')][:CROPS]
    missed = np.flatnonzero(figures.is_missed)
    missed = missed[np.argsort(-truths.areas[missed], kind='stable')][:CROPS]
    kinds = figures.errors.kinds
    sections = []
    for title, text, objects, rows, color, caption in (
        (
            'False positives',
            'Those with the highest scores, with the kind of error.',
            found,
            wrong,
            WRONG,
            lambda k: f'{found.scores[k]:.2f} {kinds[k]}',
        ),
        (
            'Missed objects',
            'The largest ones.',
            truths,
            missed,
            MISSED,
            lambda k: '',
        ),
    ):
        items = _cut(record, objects, rows, color, caption)
        body = paragraph(text, soft=True) + crops(items)
        if not len(rows):
            body = paragraph('There are none.')
        sections.append(
            Section(title, body + missing_images(len(rows) - len(items)))
        )
    return sections


def _cut(
    record: Record,
    objects: Objects,
    rows: np.ndarray,
    color: tuple[int, int, int],
    caption: Callable[[int], str],
) -> list[tuple[str, str]]:
    items = []
    for k in rows.tolist():
        image = read_upright(record.images.paths[objects.images[k]])
        if image is None:
            continue
        name = record.classes[objects.labels[k]]
        picture = crop(image, Mark(objects.boxes[k], color))
        items.append((to_uri(picture), f'{name} {caption(k)}'.strip()))
    return items


def semantic_gallery(record: Record, figures: SemanticFigures) -> Section:
    """Show images with label maps."""
    errors = 1 - figures.image_iou
    wrong = figures.unions.sum(1) - figures.intersections.sum(1)
    chosen = choose_images(errors, wrong)
    palette = record.palette or default_palette(len(record.classes))
    shots = []
    for i in chosen:
        image = read_upright(record.images.paths[i])
        if image is None:
            continue
        image, _ = shrink(image)
        truth, prediction = (
            to_uri(overlay(image, _fit(blob, image), palette, _OPACITY))
            for blob in (record.true_maps[i], record.maps[i])
        )
        name = _name(record.images, i)
        shots.append(
            Shot(
                name,
                truth,
                prediction,
                f'{name}: mIoU {100 * figures.image_iou[i]:.1f}',
                float(errors[i]),
            )
        )
    legend = ''.join(
        f'<li><i style="background:rgb{tuple(color)}"></i>{name}</li>'
        for name, color in zip(map(escape, record.classes), palette)
    )
    body = f'<ul class="legend">{legend}</ul>'
    if shots:
        body += gallery(shots, 'images', counts=False)
    return Section(
        'Worst and best images',
        body + missing_images(len(chosen) - len(shots)),
    )


def _fit(content: bytes, image: np.ndarray) -> np.ndarray:
    labels = decode_map(content)
    return cv2.resize(
        labels, image.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )


def _name(images: Images, i: int) -> str:
    path = images.paths[i]
    return Path(path).name if path else images.ids[i]
