"""Confusion matrices of detectors."""

import numpy as np

from .matching import Pairs
from .records import Objects


def confuse(
    truths: Objects,
    detections: Objects,
    pairs: Pairs,
    matched: np.ndarray,
    left_out: np.ndarray,
    num_classes: int,
    score_thr: float,
    threshold: float | np.ndarray = 0.5,
) -> np.ndarray:
    """Count detections and truths by their classes.

    Detections that are right come first; what is left is paired by IoU,
    whatever the class.

    Args:
        truths: Labeled objects.
        detections: Detections.
        pairs: All pairs that overlap.
        matched: (D,) the truth each detection is matched with, or -1.
        left_out: (D,) detections that do not count.
        num_classes: Number C of classes.
        score_thr: Lowest score that counts.
        threshold: IoU of a match, one or (C,) by class.

    Returns:
        (C + 1, C + 1), truths in rows and detections in columns; the last
        row is background that was detected, the last column what was missed.
    """
    bars = np.broadcast_to(np.asarray(threshold, np.float64), (num_classes,))
    counted = ~left_out & (detections.scores >= score_thr)
    right = counted & (matched >= 0)
    partner = np.where(right, matched, -1)
    taken = np.zeros(len(truths), dtype=bool)
    taken[matched[right]] = True
    open_ = counted & ~right
    rest = pairs[
        open_[pairs.detection]
        & ~taken[pairs.truth]
        & ~truths.ignored[pairs.truth]
    ]
    rest = rest[rest.overlap >= bars[truths.labels[rest.truth]]]
    for row in np.argsort(-rest.overlap, kind='stable'):
        detection, truth = rest.detection[row], rest.truth[row]
        if open_[detection] and not taken[truth]:
            partner[detection], taken[truth] = truth, True
            open_[detection] = False
    table = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    rows = np.full(len(detections), num_classes)
    paired = partner >= 0
    rows[paired] = truths.labels[partner[paired]]
    np.add.at(table, (rows[counted], detections.labels[counted]), 1)
    missed = ~taken & ~truths.ignored
    np.add.at(table, (truths.labels[missed], num_classes), 1)
    return table
