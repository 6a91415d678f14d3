"""COCO's average precision and recall from matches."""

from dataclasses import dataclass

import numpy as np

from .matching import Matches
from .records import Objects

_RECALLS = np.linspace(0, 1, 101)
_EPS = np.spacing(1)


@dataclass
class Curves:
    """What AP is made of, class by class.

    Attributes:
        order: Detections of each class, from the highest score to the lowest.
        is_right: (T, A, D) detections that are right.
        left_out: (T, A, D) detections that do not count.
        truth_counts: (A, I, C) truths that count, by image.
        images: (D,) image of each detection.
    """

    order: list[np.ndarray]
    is_right: np.ndarray
    left_out: np.ndarray
    truth_counts: np.ndarray
    images: np.ndarray


def build_curves(
    truths: Objects,
    detections: Objects,
    matches: Matches,
    num_classes: int,
    num_images: int,
) -> Curves:
    """Sort detections by class and score, and count truths.

    Args:
        truths: Labeled objects.
        detections: Detections.
        matches: How they match.
        num_classes: Number C of classes.
        num_images: Number I of images.
    """
    by_score = np.argsort(-detections.scores, kind='stable')
    labels = detections.labels[by_score]
    counts = np.zeros(
        (len(matches.truths_left_out), num_images, num_classes), dtype=np.int64
    )
    for a, out in enumerate(matches.truths_left_out):
        np.add.at(counts[a], (truths.images[~out], truths.labels[~out]), 1)
    return Curves(
        order=[by_score[labels == c] for c in range(num_classes)],
        is_right=matches.is_right,
        left_out=matches.left_out,
        truth_counts=counts,
        images=detections.images,
    )


def average_precision(
    curves: Curves, weights: np.ndarray | None = None, area: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute AP and recall.

    Args:
        curves: From :func:`build_curves`.
        weights: (I,) how often each image counts; once by default.
        area: Compute one range of sizes only.

    Returns:
        AP (C, T, A) with 101 recall positions, and the largest recall
        (C, T, A), in [0, 1]; NaN where no truth counts.
    """
    areas = range(curves.truth_counts.shape[0]) if area is None else [area]
    shape = (len(curves.order), curves.is_right.shape[0], len(areas))
    precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    for column, a in enumerate(areas):
        counts = curves.truth_counts[a]
        totals = counts.sum(0) if weights is None else weights @ counts
        for c, order in enumerate(curves.order):
            if totals[c] > 0:
                right = curves.is_right[:, a, order]
                wrong = ~right & ~curves.left_out[:, a, order]
                if weights is not None:
                    factor = weights[curves.images[order]]
                    right, wrong = right * factor, wrong * factor
                precision[c, :, column], recall[c, :, column] = area_under(
                    right, wrong, totals[c]
                )
    return precision, recall


def area_under(
    right: np.ndarray, wrong: np.ndarray, total: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return AP and the largest recall (T,) of detections sorted by score.

    Args:
        right: (T, D) weight of the right ones.
        wrong: (T, D) weight of the wrong ones.
        total: Weight of all truths.
    """
    hits = np.cumsum(right, axis=1, dtype=np.float64)
    misses = np.cumsum(wrong, axis=1, dtype=np.float64)
    if not hits.shape[1]:
        return np.zeros(len(hits)), np.zeros(len(hits))
    recall = hits / total
    precision = hits / (hits + misses + _EPS)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate((precision, np.zeros((len(hits), 1))), axis=1)
    means = np.empty(len(hits))
    for t, row in enumerate(recall):
        means[t] = padded[t, np.searchsorted(row, _RECALLS)].mean()
    return means, recall[:, -1]
