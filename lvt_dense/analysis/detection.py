"""All figures of detectors, instance segmenters and 3D detectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .average_precision import Curves, average_precision, build_curves
from .confusion import confuse
from .error_kinds import ErrorKinds, find_error_kinds
from .matching import (
    IOU_THRESHOLDS,
    SIZES,
    Outcomes,
    Pairs,
    find_overlaps,
    keep_best,
    match_objects,
)
from .records import Objects, Record
from .thresholds import (
    Calibration,
    Operating,
    ThresholdCurve,
    calibrate,
    threshold_curve,
)

_NAMES = dict(small='s', medium='m', large='l')
DEFAULT_SCORE = 0.3  # where no detection is right


@dataclass
class DetectionFigures:
    """What is known of the detections of a record.

    Attributes:
        classes: Names of the classes.
        overlap: What the IoU is of: ``box``, ``mask`` or ``3D box``.
        threshold: The IoU of a match, in words.
        overall: Figures by their standard names, in [0, 1].
        per_class: The same for each class; NaN where no truth counts.
        num_truths: (C,) truths that count.
        curve: Precision, recall and F1 of all classes together.
        class_curves: Those of each class.
        best: The threshold of the highest F1, if any detection is right.
        reached: The lowest threshold of the precision asked for, if any.
        score_thr: The threshold of all that follows.
        confusion: (C + 1, C + 1), see :func:`.confusion.confuse`.
        errors: Kinds of errors.
        calibration: Of all scores.
        images: (I, 3) right and wrong detections and missed truths.
        truths: Labeled objects.
        detections: Detections, as far as they count.
        is_right: (D,) detections that are right at any score.
        is_wrong: (D,) detections that are wrong at any score.
        is_missed: (G,) truths missed at the threshold.
        ap_curves: What AP is made of, for the bootstrap.
    """

    classes: list[str]
    overlap: str
    threshold: str
    overall: dict[str, float]
    per_class: list[dict[str, float]]
    num_truths: np.ndarray
    curve: ThresholdCurve
    class_curves: list[ThresholdCurve]
    best: Operating | None
    reached: Operating | None
    score_thr: float
    confusion: np.ndarray
    errors: ErrorKinds
    calibration: Calibration
    images: np.ndarray
    truths: Objects
    detections: Objects
    is_right: np.ndarray
    is_wrong: np.ndarray
    is_missed: np.ndarray
    ap_curves: Curves


@dataclass
class Setup:
    """What counts as a match, and which ranges are told apart.

    Attributes:
        overlap: What the IoU is of, in words.
        threshold: IoU of a match, in words.
        thresholds: (T,) or (T, C) IoU that a match must reach; the first one
            is that of thresholds, kinds of error and confusion.
        ranges: Least and largest size of the objects that count, by name;
            the first one is all.
        sizes: Sizes of truths and detections; by default areas in pixels.
    """

    overlap: str
    threshold: str
    thresholds: np.ndarray
    ranges: Mapping[str, tuple[float, float]]
    sizes: tuple[np.ndarray, np.ndarray] | None = None


def analyze_detection(
    record: Record,
    by_mask: bool = False,
    precision: float | None = None,
    quiet: bool = True,
) -> DetectionFigures:
    """Compute all figures of boxes or masks, COCO's among them.

    Args:
        record: Truths and detections.
        by_mask: Take the IoU of masks instead of boxes.
        precision: Find the threshold of this precision as well.
        quiet: Show no progress bar.
    """
    truths, found = record.truths, keep_best(record.detections)
    if not by_mask and found.masks:
        found = _sized_by_box(found)
    pairs = find_overlaps(record.images, truths, found, by_mask, quiet)
    setup = Setup(
        'mask' if by_mask else 'box', 'IoU 0.5', IOU_THRESHOLDS, SIZES
    )
    figures = analyze_objects(
        record.classes,
        len(record.images),
        truths,
        found,
        pairs,
        setup,
        precision,
    )
    _add_coco_names(figures)
    return figures


def _sized_by_box(found: Objects) -> Objects:
    boxes = found.boxes
    return Objects(
        found.images,
        found.labels,
        boxes,
        found.scores,
        boxes[:, 2] * boxes[:, 3],
        found.ignored,
        found.masks,
        found.boxes_3d,
    )


def analyze_objects(
    classes: list[str],
    num_images: int,
    truths: Objects,
    detections: Objects,
    pairs: Pairs,
    setup: Setup,
    precision: float | None = None,
) -> DetectionFigures:
    """Compute all figures of objects whose overlaps are known.

    See :func:`analyze_detection`; ``setup`` says what counts as a match.
    """
    ranges = list(setup.ranges.values())
    bars, sizes = setup.thresholds, setup.sizes
    matches = match_objects(truths, detections, pairs, bars, ranges, sizes)
    count = len(classes)
    curves = build_curves(truths, detections, matches, count, num_images)
    outcomes = Outcomes(
        truths,
        detections,
        pairs,
        matches.truth[0, 0],
        matches.left_out[0, 0],
        np.broadcast_to(bars[0], (count,)),
    )
    num_truths = curves.truth_counts[0].sum(0)
    together, by_class = _threshold_curves(outcomes, num_truths)
    best = together.best()
    score_thr = best.score_thr if best else DEFAULT_SCORE
    overall, per_class = _tabulate(curves, setup)
    scored = ~outcomes.left_out
    return DetectionFigures(
        classes=list(classes),
        overlap=setup.overlap,
        threshold=setup.threshold,
        overall=overall,
        per_class=per_class,
        num_truths=num_truths,
        curve=together,
        class_curves=by_class,
        best=best,
        reached=None if precision is None else together.reach(precision),
        score_thr=score_thr,
        confusion=confuse(outcomes, score_thr),
        errors=find_error_kinds(outcomes),
        calibration=calibrate(
            detections.scores[scored], outcomes.is_right[scored]
        ),
        images=_count_by_image(outcomes, score_thr, num_images),
        truths=truths,
        detections=detections,
        is_right=outcomes.is_right,
        is_wrong=outcomes.is_wrong,
        is_missed=outcomes.is_missed(score_thr),
        ap_curves=curves,
    )


def _count_by_image(
    outcomes: Outcomes, score_thr: float, num_images: int
) -> np.ndarray:
    """Count right and wrong detections and missed truths, (I, 3)."""
    truths, detections = outcomes.truths, outcomes.detections
    shown = detections.scores >= score_thr
    parts = (
        detections.images[outcomes.is_right & shown],
        detections.images[outcomes.is_wrong & shown],
        truths.images[outcomes.is_missed(score_thr)],
    )
    return np.stack([np.bincount(p, minlength=num_images) for p in parts], 1)


def _threshold_curves(
    outcomes: Outcomes, num_truths: np.ndarray
) -> tuple[ThresholdCurve, list[ThresholdCurve]]:
    counted, detections = ~outcomes.left_out, outcomes.detections
    scores, labels = detections.scores[counted], detections.labels[counted]
    right = outcomes.is_right[counted]
    together = threshold_curve(scores, right, int(num_truths.sum()))
    return together, [
        threshold_curve(scores[labels == c], right[labels == c], int(total))
        for c, total in enumerate(num_truths)
    ]


def _tabulate(
    curves: Curves, setup: Setup
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Name the figures ``AP``, ``AR`` and those of each range."""
    precision, recall = average_precision(curves)
    names = list(setup.ranges)[1:]
    table = {'AP': precision[:, :, 0].mean(1)}
    table['AP@first'] = precision[:, 0, 0]
    if len(setup.thresholds) > 5:
        table['AP75'] = precision[:, 5, 0]
    for a, name in enumerate(names, 1):
        table[f'AP {name}'] = precision[:, :, a].mean(1)
    table['AR'] = recall[:, :, 0].mean(1)
    for a, name in enumerate(names, 1):
        table[f'AR {name}'] = recall[:, :, a].mean(1)
    overall = {name: _mean(values) for name, values in table.items()}
    rows = [
        {name: float(values[c]) for name, values in table.items()}
        for c in range(len(precision))
    ]
    return overall, rows


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')


def _add_coco_names(figures: DetectionFigures) -> None:
    """Name the figures as in COCO's summary."""

    def rename(row: dict[str, float]) -> dict[str, float]:
        names = {'AP@first': 'AP50', 'AR': 'AR100'}
        for size, short in _NAMES.items():
            names[f'AP {size}'] = f'AP{short}'
            names[f'AR {size}'] = f'AR{short}'
        return {names.get(key, key): value for key, value in row.items()}

    figures.overall = rename(figures.overall)
    figures.per_class = [rename(row) for row in figures.per_class]
