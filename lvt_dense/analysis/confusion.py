"""Confusion matrices of detectors."""

import numpy as np

from .matching import Outcomes


def confuse(outcomes: Outcomes, score_thr: float) -> np.ndarray:
    """Count detections and truths by their classes.

    Detections that are right come first; what is left is paired by IoU,
    whatever the class.

    Args:
        outcomes: What the detections were matched with.
        score_thr: Lowest score that counts.

    Returns:
        (C + 1, C + 1), truths in rows and detections in columns; the last
        row is background that was detected, the last column what was missed.
    """
    truths, detections = outcomes.truths, outcomes.detections
    num_classes = outcomes.num_classes
    shown = detections.scores >= score_thr
    counted = ~outcomes.left_out & shown
    partner = np.where(outcomes.is_right & shown, outcomes.matched, -1)
    taken = outcomes.is_found(score_thr)
    open_ = outcomes.is_wrong & shown
    rest = outcomes.pairs
    rest = rest[
        open_[rest.detection]
        & ~taken[rest.truth]
        & ~truths.ignored[rest.truth]
    ]
    bars = outcomes.thresholds[truths.labels[rest.truth]]
    rest = rest[rest.overlap >= bars]
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
