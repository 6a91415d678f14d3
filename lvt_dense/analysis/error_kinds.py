"""Compute how much AP each kind of error costs, after TIDE.

Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV 2020. Each false positive has one kind, and each is mended by
itself; the cost is what AP at IoU 0.5 gains. Unlike TIDE's own program,
classes without any truth are left out, as they are from COCO's AP.
"""

from dataclasses import dataclass

import numpy as np

from .average_precision import area_under
from .matching import BACKGROUND, Outcomes, Pairs
from .records import Objects

# Names of the paper, and what they mean.
KINDS = dict(
    Cls='right place, wrong class',
    Loc='right class, wrong place',
    Both='wrong class and wrong place',
    Dupe='duplicate of a detection with a higher score',
    Bkg='background taken for an object',
    Miss='object that was not detected',
)


@dataclass
class ErrorKinds:
    """Kinds of errors and their costs.

    Attributes:
        kinds: (D,) the kind of each detection; empty where it is no error.
        missed: (G,) truths that were missed altogether.
        counts: Errors of each kind.
        costs: Gain of AP by mending each kind, in [0, 1]; ``FP`` and ``FN``
            are those of all false positives and all false negatives.
        ap: AP at the threshold, in [0, 1].
    """

    kinds: np.ndarray
    missed: np.ndarray
    counts: dict[str, int]
    costs: dict[str, float]
    ap: float


@dataclass
class _Detections:
    """Detections that AP is computed of, with the number of truths."""

    labels: np.ndarray
    scores: np.ndarray
    is_right: np.ndarray
    totals: np.ndarray

    def keep(self, kept: np.ndarray) -> '_Detections':
        return _Detections(
            self.labels[kept],
            self.scores[kept],
            self.is_right[kept],
            self.totals,
        )


def find_error_kinds(outcomes: Outcomes) -> ErrorKinds:
    """Find the kind of each error and what the kinds cost.

    Args:
        outcomes: What the detections were matched with.
    """
    truths, detections = outcomes.truths, outcomes.detections
    bars, wrong = outcomes.thresholds, outcomes.is_wrong
    used = outcomes.is_found()
    pairs = outcomes.pairs
    pairs = pairs[wrong[pairs.detection] & ~truths.ignored[pairs.truth]]
    same = truths.labels[pairs.truth] == detections.labels[pairs.detection]
    count = len(detections)
    own, own_truth = _largest(pairs[same], count)
    other, other_truth = _largest(pairs[~same], count)
    taken, _ = _largest(pairs[same & used[pairs.truth]], count)
    own_bar = bars[detections.labels]
    other_bar = (
        np.where(other_truth >= 0, bars[truths.labels[other_truth]], np.inf)
        if len(truths)
        else np.full(count, np.inf)
    )
    is_loc = (own >= BACKGROUND) & (own <= own_bar)
    is_cls = other >= other_bar
    is_dupe = taken >= own_bar
    is_bkg = np.maximum(own, other) <= BACKGROUND
    kinds = np.select(
        [~wrong, is_loc, is_cls, is_dupe, is_bkg],
        ['', 'Loc', 'Cls', 'Dupe', 'Bkg'],
        'Both',
    )
    target = np.where(
        kinds == 'Loc', own_truth, np.where(kinds == 'Cls', other_truth, -1)
    )
    mends = _mending(target, used, detections)
    reachable = np.zeros(len(truths), dtype=bool)
    reachable[target[target >= 0]] = True
    missed = ~used & ~reachable & ~truths.ignored
    base = _Detections(
        detections.labels,
        detections.scores,
        outcomes.is_right,
        np.bincount(truths.labels[~truths.ignored], minlength=len(bars)),
    )
    ap, costs = _costs(
        base, kinds, outcomes.left_out, target, mends, truths, missed
    )
    counts = {k: int((kinds == k).sum()) for k in KINDS}
    counts['Miss'] = int(missed.sum())
    return ErrorKinds(kinds, missed, counts, costs, ap)


def _costs(
    base: _Detections,
    kinds: np.ndarray,
    left_out: np.ndarray,
    target: np.ndarray,
    mends: np.ndarray,
    truths: Objects,
    missed: np.ndarray,
) -> tuple[float, dict[str, float]]:
    counted = ~left_out
    classes = base.totals > 0
    ap = _mean_ap(base.keep(counted), classes)
    costs = {}
    for kind in ('Cls', 'Loc', 'Both', 'Dupe', 'Bkg'):
        own = kinds == kind
        labels = base.labels.copy()
        if kind == 'Cls' and (own & mends).any():
            labels[own & mends] = truths.labels[target[own & mends]]
        mended = _Detections(
            labels, base.scores, base.is_right | (own & mends), base.totals
        )
        gone = own & ~mends
        costs[kind] = _mean_ap(mended.keep(counted & ~gone), classes) - ap
    found = base.keep(counted)
    fewer = base.totals - np.bincount(
        truths.labels[missed], minlength=len(base.totals)
    )
    costs['Miss'] = (
        _mean_ap(
            _Detections(found.labels, found.scores, found.is_right, fewer),
            classes,
        )
        - ap
    )
    clean = found.keep(found.is_right)
    costs['FP'] = _mean_ap(clean, classes) - ap
    hits = np.bincount(clean.labels, minlength=len(base.totals))
    costs['FN'] = (
        _mean_ap(
            _Detections(found.labels, found.scores, found.is_right, hits),
            classes,
        )
        - ap
    )
    return ap, {kind: max(cost, 0.0) for kind, cost in costs.items()}


def _mending(
    target: np.ndarray, used: np.ndarray, detections: Objects
) -> np.ndarray:
    """Choose, for each free truth, the one error that would find it.

    It is the one with the highest score; the others would be duplicates.
    """
    mends = np.zeros(len(target), dtype=bool)
    rows = np.flatnonzero(target >= 0)
    rows = rows[~used[target[rows]]]
    order = rows[np.lexsort((-detections.scores[rows], target[rows]))]
    mends[order[np.diff(target[order], prepend=-1) != 0]] = True
    return mends


def _largest(pairs: Pairs, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest overlap of each detection and its truth, or -1."""
    overlap, truth = np.zeros(count), np.full(count, -1)
    order = np.lexsort((-pairs.truth, pairs.overlap))
    # of several entries for one index, NumPy keeps the last
    overlap[pairs.detection[order]] = pairs.overlap[order]
    truth[pairs.detection[order]] = pairs.truth[order]
    return overlap, truth


def _mean_ap(found: _Detections, classes: np.ndarray) -> float:
    """Mean AP of classes; one that has lost all truths counts as 0."""
    order = np.argsort(-found.scores, kind='stable')
    labels, right = found.labels[order], found.is_right[order]
    values = []
    for c in np.flatnonzero(classes):
        own = right[labels == c][None]
        if found.totals[c] > 0:
            values.append(area_under(own, ~own, found.totals[c])[0][0])
        elif own.size:
            values.append(0.0)
    return float(np.mean(values)) if values else 0.0
