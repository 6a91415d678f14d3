"""KITTI's object detection protocol: 2D, BEV and 3D AP, and AOS.

Written from the rules of the official evaluator (evaluate_object.cpp of the
development kit, with 40 recall positions after Simonelli et al., ICCV 2019),
and checked against its results. Everything that the official code does in a
loop over thresholds and frames is one array operation here.

Two properties of the protocol surprise: at most one threshold is taken for
each true positive, so that a class with fewer than 40 ground truths cannot
reach 100; and detections too small for a difficulty are set aside whatever
their class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lvt_dense.datasets.kitti.labels import KittiObjects

from .matching import Pairs, find_pairs, match

CLASSES = ('Car', 'Pedestrian', 'Cyclist')
METRICS = ('2d', 'bev', '3d', 'aos')
DIFFICULTIES = ('easy', 'moderate', 'hard')

# IoU that a match must exceed, for vehicles and for everything else: in all
# metrics, and 'loose' in those seen from above and in space.
_STRICT = (0.7, 0.5)
_LOOSE = (0.5, 0.25)
_VEHICLES = frozenset(
    {
        'bus',
        'car',
        'caravan',
        'lorry',
        'pickup',
        'suv',
        'taxi',
        'trailer',
        'train',
        'tram',
        'truck',
        'van',
        'vehicle',
    }
)

# Classes so alike that detecting them is neither right nor wrong.
_NEIGHBORS = {'Car': ('Van',), 'Pedestrian': ('Person_sitting',)}
_MIN_HEIGHT = {'easy': 40, 'moderate': 25, 'hard': 25}
_MAX_OCCLUSION = {'easy': 0, 'moderate': 1, 'hard': 2}
_MAX_TRUNCATION = {'easy': 0.15, 'moderate': 0.3, 'hard': 0.5}

_NUM_RECALLS = 41

# class_metric -> difficulty -> R40 or R11 -> AP in percent. None where
# there is nothing to measure: no ground truth, or no orientation.
Scores = dict[str, dict[str, dict[str, float | None]]]


@dataclass
class _Frames:
    """All ground truths and detections, and which pairs of them overlap."""

    truths: KittiObjects
    detections: KittiObjects
    pairs: dict[str, Pairs]
    # (num detections,) largest share of a detection in a DontCare region.
    in_dont_care: np.ndarray


def evaluate_kitti(
    labels: Sequence[KittiObjects],
    results: Sequence[KittiObjects],
    overlaps: str = 'strict',
    classes: Sequence[str] = CLASSES,
    own_overlaps: Mapping[str, float] | None = None,
) -> Scores:
    """Compute average precision in percent after KITTI's protocol.

    Args:
        labels: All labels of each frame, DontCare included.
        results: Detections of the same frames, in the same order.
        overlaps: ``'strict'`` or ``'loose'``, see :func:`required_overlap`.
        classes: Types of the label files, in any letter case.
        own_overlaps: Strict overlaps by class, in (0, 1), other than those
            of the protocol.

    Returns:
        ``scores['car_3d']['moderate']['R40']``, and likewise for all
        classes, metrics (2d, bev, 3d, aos), difficulties and R11. None
        where a class has no ground truth of the difficulty, and for AOS
        where a detection of the class has no alpha (-10), or a ground truth
        has neither alpha nor yaw and position to compute it from.
    """
    if len(labels) != len(results):
        raise ValueError(
            f'{len(labels)} frames of labels and {len(results)} of results; '
            'both must be of the same frames'
        )
    frames = _prepare(labels, results)
    scores: Scores = {}
    for name in classes:
        for metric in METRICS[:3]:
            own = (own_overlaps or {}).get(name)
            threshold = required_overlap(name, metric, overlaps, own)
            entry = scores[score_key(name, metric)] = {}
            for difficulty in DIFFICULTIES:
                precision, orientation = _curves(
                    frames, name, metric, difficulty, threshold
                )
                entry[difficulty] = _average(precision)
                if metric == '2d':
                    aos = scores.setdefault(score_key(name, 'aos'), {})
                    aos[difficulty] = _average(orientation)
    return scores


def score_key(name: str, metric: str) -> str:
    """Return the key of a class and metric in the scores."""
    return f'{name.lower()}_{metric}'


def required_overlap(
    name: str, metric: str, overlaps: str, strict: float | None = None
) -> float:
    """Return the IoU that a match of a class must exceed.

    Strict, it is 0.7 for vehicles and 0.5 for all other classes: KITTI's
    values for Car, and for Pedestrian and Cyclist. Loose, it is 0.5 and 0.25
    in the metrics 'bev' and '3d'.

    Args:
        name: The class.
        metric: '2d', 'bev' or '3d'.
        overlaps: 'strict' or 'loose'.
        strict: The strict one, if it is another; the loose one then is
            smaller in the same proportion.
    """
    index = 0 if name.lower() in _VEHICLES else 1
    usual = _STRICT[index]
    value = usual if strict is None else strict
    if overlaps == 'loose' and metric != '2d':
        return value * _LOOSE[index] / usual if strict else _LOOSE[index]
    return value


def round_scores(scores: Scores, digits: int = 4) -> Scores:
    """Round all metrics to a number of decimals."""
    return {
        key: {
            level: {
                points: value if value is None else round(value, digits)
                for points, value in entry.items()
            }
            for level, entry in levels.items()
        }
        for key, levels in scores.items()
    }


def count_valid(
    labels: Sequence[KittiObjects], name: str, difficulty: str
) -> int:
    """Count the ground truths of a class that count at a difficulty."""
    truths = KittiObjects.concatenate(labels)
    return int((_truth_flags(truths, name, difficulty) == 0).sum())


def _prepare(
    labels: Sequence[KittiObjects], results: Sequence[KittiObjects]
) -> _Frames:
    truths = KittiObjects.concatenate(labels).complete_alphas()
    detections = KittiObjects.concatenate(results)
    truth_frames = _frame_numbers(labels)
    detection_frames = _frame_numbers(results)
    dont_care = truths.is_type('DontCare')
    pairs = find_pairs(truths, truth_frames, detections, detection_frames)
    inside = np.zeros(len(detections))
    found = pairs.pop('share')
    found = found[dont_care[found.truth]]
    np.maximum.at(inside, found.detection, found.overlap)
    real = ~dont_care
    pairs = {name: p[real[p.truth]] for name, p in pairs.items()}
    return _Frames(truths, detections, pairs, inside)


def _frame_numbers(parts: Sequence[KittiObjects]) -> np.ndarray:
    counts = [len(part) for part in parts]
    return np.repeat(np.arange(len(parts)), counts)


def _truth_flags(
    truths: KittiObjects, name: str, difficulty: str
) -> np.ndarray:
    """Flag ground truths: 0 counted, 1 ignored, -1 of another class."""
    height = truths.bboxes[:, 3] - truths.bboxes[:, 1]
    hard = (
        (truths.occluded > _MAX_OCCLUSION[difficulty])
        | (truths.truncated > _MAX_TRUNCATION[difficulty])
        | (np.abs(height) <= _MIN_HEIGHT[difficulty])
    )
    own = truths.is_type(name)
    neighbor = truths.is_type(*_NEIGHBORS.get(name, ()))
    return np.where(own, hard.astype(int), np.where(neighbor, 1, -1))


def _detection_flags(
    detections: KittiObjects, name: str, difficulty: str
) -> np.ndarray:
    """Flag detections: 0 counted, 1 too small, -1 of another class."""
    height = detections.bboxes[:, 3] - detections.bboxes[:, 1]
    small = np.abs(height) < _MIN_HEIGHT[difficulty]
    return np.where(small, 1, np.where(detections.is_type(name), 0, -1))


def _curves(
    frames: _Frames,
    name: str,
    metric: str,
    difficulty: str,
    threshold: float,
) -> list[np.ndarray | None]:
    """Compute precision and orientation (41,) over recall, or None."""
    truth_flags = _truth_flags(frames.truths, name, difficulty)
    flags = _detection_flags(frames.detections, name, difficulty)
    num_truths = int((truth_flags == 0).sum())
    if not num_truths:
        return [None, None]
    pairs = frames.pairs[metric]
    pairs = pairs[
        (pairs.overlap > threshold)
        & (truth_flags[pairs.truth] >= 0)
        & (flags[pairs.detection] >= 0)
    ]
    scores = frames.detections.scores

    # First pass: true positives by score alone give the thresholds.
    order = pairs[pairs.order(-scores[pairs.detection])]
    first = match(order, scores, np.array([-np.inf]))
    is_true = (truth_flags[order.truth] == 0) & (flags[order.detection] == 0)
    hits = scores[order.detection][first[:, 0] & is_true]
    levels = _score_levels(hits, num_truths)

    # Second pass: for each threshold the largest overlap wins, and any
    # detection that counts wins over one that is too small.
    small = flags[pairs.detection] == 1
    order = pairs[pairs.order(np.where(small, 2.0, -pairs.overlap))]
    taken = match(order, scores, levels)
    is_true = (truth_flags[order.truth] == 0) & (flags[order.detection] == 0)
    hits = taken & is_true[:, None]
    true_positives = hits.sum(0)
    false_positives = _false_positives(
        frames, flags, order.detection, taken, levels, metric, threshold
    )
    similarity = _similarity(frames, order) @ hits
    total = np.maximum(true_positives + false_positives, 1)
    curves = [_envelope(true_positives / total), None]
    own = frames.detections.is_type(name)
    has_angles = not (
        frames.detections[own].lacks_alpha().any()
        or frames.truths[truth_flags == 0].lacks_alpha().any()
    )
    if metric == '2d' and has_angles:
        curves[1] = _envelope(similarity / total)
    return curves


def _score_levels(hits: np.ndarray, num_truths: int) -> np.ndarray:
    """Find the scores at which recall is closest to 0, 1/40, 2/40 ..."""
    hits = np.sort(hits)[::-1]
    levels, recall = [], 0.0
    for index, score in enumerate(hits):
        left = (index + 1) / num_truths
        is_last = index == len(hits) - 1
        right = left if is_last else (index + 2) / num_truths
        if right - recall < recall - left and not is_last:
            continue
        levels.append(score)
        recall += 1 / (_NUM_RECALLS - 1.0)
    return np.array(levels)


def _false_positives(
    frames: _Frames,
    flags: np.ndarray,
    partners: np.ndarray,
    taken: np.ndarray,
    levels: np.ndarray,
    metric: str,
    threshold: float,
) -> np.ndarray:
    """Count the false positives at each score level."""
    counted = flags == 0
    if metric == '2d':
        # DontCare regions have no place in space.
        counted &= frames.in_dont_care <= threshold
    rivals = np.sort(frames.detections.scores[counted])
    above = len(rivals) - np.searchsorted(rivals, levels)
    # A detection belongs to one ground truth at most, so that no row of
    # ``taken`` counts it twice.
    return above - (taken & counted[partners][:, None]).sum(0)


def _similarity(frames: _Frames, pairs: Pairs) -> np.ndarray:
    """Compute how well the angles of pairs (P,) agree, 0 to 1."""
    difference = (
        frames.truths.alphas[pairs.truth]
        - frames.detections.alphas[pairs.detection]
    )
    return (1 + np.cos(difference)) / 2


def _envelope(values: np.ndarray) -> np.ndarray:
    """Take the largest value at this or a later level, else zero."""
    curve = np.zeros(_NUM_RECALLS)
    curve[: len(values)] = values[:_NUM_RECALLS]
    return np.maximum.accumulate(curve[::-1])[::-1]


def _average(curve: np.ndarray | None) -> dict[str, float | None]:
    if curve is None:
        return {'R40': None, 'R11': None}
    return {
        'R40': float(curve[1:].mean() * 100),
        'R11': float(curve[::4].mean() * 100),
    }
