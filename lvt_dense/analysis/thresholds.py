"""Precision, recall and F1 over the score threshold, and calibration."""

from dataclasses import dataclass
from typing import Any

import numpy as np

GRID = np.linspace(0, 1, 101)


@dataclass
class Operating:
    """A score threshold and what it gives.

    Attributes:
        score_thr: Detections of this score or more are kept.
        precision: In [0, 1].
        recall: In [0, 1].
        f1: In [0, 1].
    """

    score_thr: float
    precision: float
    recall: float
    f1: float


@dataclass
class ThresholdCurve:
    """Precision, recall and F1 at every score that occurs, descending."""

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    num_truths: int

    def best(self) -> Operating | None:
        """Return where F1 is highest; None where there is no right one."""
        if not len(self.scores) or self.f1.max() <= 0:
            return None
        return self._at(int(self.f1.argmax()))

    def reach(self, precision: float) -> Operating | None:
        """Return the lowest threshold of at least this precision, or None."""
        fits = np.flatnonzero(self.precision >= precision)
        return self._at(int(fits[-1])) if len(fits) else None

    def at(self, score_thr: float) -> Operating:
        """Return what a threshold gives."""
        index = int((self.scores >= score_thr).sum()) - 1
        if index < 0:
            return Operating(score_thr, 0.0, 0.0, 0.0)
        found = self._at(index)
        found.score_thr = score_thr
        return found

    def _at(self, index: int) -> Operating:
        return Operating(
            float(self.scores[index]),
            float(self.precision[index]),
            float(self.recall[index]),
            float(self.f1[index]),
        )

    def sample(self) -> dict[str, list[float]]:
        """Return the curve at the thresholds of :data:`GRID`."""
        points = [self.at(float(t)) for t in GRID]
        return {
            name: [round(getattr(p, name), 4) for p in points]
            for name in ('precision', 'recall', 'f1')
        }


def threshold_curve(
    scores: np.ndarray, is_right: np.ndarray, num_truths: int
) -> ThresholdCurve:
    """Compute the curve of detections that count.

    Args:
        scores: (D,) their scores.
        is_right: (D,) whether they are right.
        num_truths: Number of truths that count.
    """
    order = np.argsort(-scores, kind='stable')
    ranked = scores[order]
    hits = np.cumsum(is_right[order])
    # all detections of one score are kept or dropped together
    last = np.flatnonzero(np.diff(ranked, append=-np.inf))
    hits, ranked, kept = hits[last], ranked[last], last + 1
    return ThresholdCurve(
        scores=ranked,
        precision=hits / np.maximum(kept, 1),
        recall=hits / max(num_truths, 1),
        f1=2 * hits / np.maximum(kept + num_truths, 1),
        num_truths=num_truths,
    )


@dataclass
class Calibration:
    """How well scores tell the chance to be right.

    Attributes:
        counts: (B,) predictions in bins of equal width over [0, 1].
        scores: (B,) their mean scores; NaN in empty bins.
        accuracy: (B,) the share that is right; NaN in empty bins.
        ece: Expected calibration error in [0, 1] (Naeini et al., AAAI 2015).
    """

    counts: np.ndarray
    scores: np.ndarray
    accuracy: np.ndarray
    ece: float


def calibrate(
    scores: np.ndarray, is_right: np.ndarray, num_bins: int = 15
) -> Calibration:
    """Compare the scores of predictions with how many are right.

    Args:
        scores: (D,) in [0, 1].
        is_right: (D,) whether they are right.
        num_bins: Number of bins.
    """
    return calibrate_table(confidence_table(scores, is_right, num_bins))


def confidence_table(
    scores: np.ndarray, is_right: np.ndarray, num_bins: int = 15
) -> np.ndarray:
    """Count predictions, right ones and scores (B, 3) by bins of the score."""
    bins = np.clip((scores * num_bins).astype(np.int64), 0, num_bins - 1)
    columns: list[Any] = [None, is_right.astype(np.float64), scores]
    return np.stack(
        [np.bincount(bins, weights=w, minlength=num_bins) for w in columns], 1
    ).astype(np.float64)


def calibrate_table(table: np.ndarray) -> Calibration:
    """Compute the calibration of a :func:`confidence_table`."""
    counts, right, total = table.T
    filled = np.where(counts > 0, counts, np.nan)
    accuracy, scores = right / filled, total / filled
    gaps = np.nan_to_num(np.abs(accuracy - scores))
    ece = float((counts * gaps).sum() / max(counts.sum(), 1))
    return Calibration(counts, scores, accuracy, ece)
