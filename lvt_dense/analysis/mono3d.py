"""All figures of monocular 3D detectors, after KITTI's rules."""

from dataclasses import dataclass

import numpy as np

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.evaluation.kitti.average_precision import (
    DIFFICULTIES,
    Scores,
    evaluate_kitti,
    required_overlap,
)
from lvt_dense.evaluation.kitti.average_precision import (
    METRICS as KITTI_METRICS,
)
from lvt_dense.evaluation.kitti.matching import find_pairs

from .detection import DetectionFigures, Setup, analyze_objects
from .kitti_record import unpack_kitti
from .matching import BACKGROUND, Pairs
from .records import Objects, Record

# Distance from the camera in meters.
DISTANCES = {
    'all': (0.0, 1e10),
    '0-20 m': (0.0, 20.0),
    '20-40 m': (20.0, 40.0),
    '40 m and more': (40.0, 1e10),
}
# Classes so alike that detecting them is neither right nor wrong.
_NEIGHBORS = {'car': 'van', 'pedestrian': 'person_sitting'}
# What KITTI counts at most: its difficulty "hard".
_MIN_HEIGHT, _MAX_OCCLUSION, _MAX_TRUNCATION = 25, 2, 0.5
_SHARE = 0.5  # of a detection in a DontCare region


@dataclass
class Mono3DFigures:
    """Figures of a monocular 3D detector.

    Attributes:
        objects: Thresholds, errors and so on, by IoU in space.
        kitti: KITTI's AP in percent, by ``strict`` and ``loose`` overlaps.
    """

    objects: DetectionFigures
    kitti: dict[str, Scores]


def analyze_mono3d(
    record: Record, precision: float | None = None
) -> Mono3DFigures:
    """Compute all figures of a 3D detector.

    A match needs the loose overlaps of KITTI, 0.5 for vehicles and 0.25 for
    other classes, of the boxes in space. What KITTI counts at no difficulty
    is neither right nor wrong.

    Args:
        record: Truths and detections.
        precision: Find the threshold of this precision as well.
    """
    labels = unpack_kitti(record, 'truth')
    found = unpack_kitti(record, 'detection')
    classes = record.classes
    truths, detections, pairs = _to_objects(labels, found, classes)
    bars = np.array(
        [
            [required_overlap(name, '3d', kind) for name in classes]
            for kind in ('loose', 'strict')
        ]
    )
    setup = Setup(
        overlap='3D box',
        threshold='3D IoU 0.5 for vehicles, 0.25 for other classes',
        thresholds=bars,
        ranges=DISTANCES,
        sizes=(_distances(truths), _distances(detections)),
    )
    figures = analyze_objects(
        classes, len(labels), truths, detections, pairs, setup, precision
    )
    _rename(figures)
    return Mono3DFigures(
        figures,
        {
            overlaps: evaluate_kitti(labels, found, overlaps, classes)
            for overlaps in ('strict', 'loose')
        },
    )


def _rename(figures: DetectionFigures) -> None:
    """Of two thresholds, ``AP`` is that of the loose one."""
    for row in (figures.overall, *figures.per_class):
        row.pop('AP')
        renamed = {
            ('AP3D loose' if k == 'AP@first' else k): v for k, v in row.items()
        }
        row.clear()
        row.update(renamed)


def _distances(objects: Objects) -> np.ndarray:
    boxes = objects.boxes_3d
    return np.hypot(boxes[:, 0], boxes[:, 2]) if len(boxes) else np.zeros(0)


def _to_objects(
    labels: list[KittiObjects], found: list[KittiObjects], classes: list[str]
) -> tuple[Objects, Objects, Pairs]:
    """Turn labels and results into objects and their overlaps in space."""
    truths = KittiObjects.concatenate(labels)
    results = KittiObjects.concatenate(found)
    frames = [
        np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        for parts in (labels, found)
    ]
    overlaps = find_pairs(truths, frames[0], results, frames[1])
    share = overlaps['share']
    inside = share.overlap > _SHARE
    inside &= truths.is_type('DontCare')[share.truth]
    height = results.bboxes[:, 3] - results.bboxes[:, 1]
    kept = height >= _MIN_HEIGHT
    kept[share.detection[inside]] = False
    numbers, ignored = _label_truths(truths, classes)
    known = numbers >= 0
    space = overlaps['3d']
    fits = (
        kept[space.detection]
        & known[space.truth]
        & (space.overlap >= BACKGROUND)
    )
    pairs = Pairs(
        (np.cumsum(kept) - 1)[space.detection[fits]],
        (np.cumsum(known) - 1)[space.truth[fits]],
        space.overlap[fits],
    )
    own = {name.lower(): i for i, name in enumerate(classes)}
    result_labels = np.array(
        [own.get(t.lower(), -1) for t in results.types], dtype=np.int64
    )
    return (
        _build(
            truths[known], frames[0][known], numbers[known], ignored[known]
        ),
        _build(results[kept], frames[1][kept], result_labels[kept]),
        pairs,
    )


def _label_truths(
    truths: KittiObjects, classes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (N,), -1 for no class, and which are ignored (N,)."""
    height = truths.bboxes[:, 3] - truths.bboxes[:, 1]
    ignored = (
        (height <= _MIN_HEIGHT)
        | (truths.occluded > _MAX_OCCLUSION)
        | (truths.truncated > _MAX_TRUNCATION)
    )
    types = np.char.lower(truths.types.astype(np.str_))
    numbers = np.full(len(truths), -1)
    for i, name in enumerate(classes):
        numbers[types == name.lower()] = i
    for i, name in enumerate(classes):
        neighbor = types == _NEIGHBORS.get(name.lower(), '')
        neighbor &= numbers < 0  # not a class of its own
        numbers[neighbor] = i
        ignored |= neighbor
    return numbers, ignored


def _build(
    objects: KittiObjects,
    frames: np.ndarray,
    labels: np.ndarray,
    ignored: np.ndarray | None = None,
) -> Objects:
    boxes = objects.bboxes.copy()
    boxes[:, 2:] -= boxes[:, :2]
    return Objects.build(
        frames,
        labels,
        boxes,
        objects.scores,
        ignored=ignored,
        boxes_3d=objects.boxes_3d,
    )


def kitti_rows(
    scores: Scores, classes: list[str]
) -> list[tuple[str, list[float | None]]]:
    """Return rows of AP with 40 recall positions, by difficulty."""
    rows = []
    for name in classes:
        for metric in KITTI_METRICS:
            entry = scores[f'{name.lower()}_{metric}']
            rows.append(
                (
                    f'{name} {metric.upper()}',
                    [entry[level]['R40'] for level in DIFFICULTIES],
                )
            )
    return rows
