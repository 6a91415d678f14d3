"""KITTI's protocol as plain loops, for boxes parallel to the axes.

Slow and short: the arrays of the package are checked against it.
"""

import math

import numpy as np

from lvt_dense.datasets.kitti.labels import KittiObjects

SIZES = {'easy': 40, 'moderate': 25, 'hard': 25}
OCCLUSIONS = {'easy': 0, 'moderate': 1, 'hard': 2}
TRUNCATIONS = {'easy': 0.15, 'moderate': 0.3, 'hard': 0.5}
NEIGHBORS = {'Car': 'van', 'Pedestrian': 'person_sitting', 'Cyclist': ''}


def interval(a1: float, a2: float, b1: float, b2: float) -> float:
    return max(0.0, min(a2, b2) - max(a1, b1))


def sides(box: np.ndarray) -> tuple[float, float, float, float]:
    """Extent along x and z of a box whose yaw is a multiple of 90 deg."""
    x, _, z, length, _, width, yaw = box
    if abs(math.sin(yaw)) > 0.5:
        length, width = width, length
    return x - length / 2, x + length / 2, z - width / 2, z + width / 2


def overlap(
    metric: str,
    box_2d: np.ndarray,
    box_3d: np.ndarray,
    other_2d: np.ndarray,
    other_3d: np.ndarray,
) -> float:
    if metric == '2d':
        common = interval(*box_2d[[0, 2]], *other_2d[[0, 2]]) * interval(
            *box_2d[[1, 3]], *other_2d[[1, 3]]
        )
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box_2d, other_2d)]
        return common / (sum(areas) - common)
    a, b = sides(box_3d), sides(other_3d)
    common = interval(*a[:2], *b[:2]) * interval(*a[2:], *b[2:])
    areas = [box_3d[3] * box_3d[5], other_3d[3] * other_3d[5]]
    if metric == '3d':
        heights = box_3d[4], other_3d[4]
        common *= interval(
            box_3d[1] - heights[0], box_3d[1],
            other_3d[1] - heights[1], other_3d[1],
        )  # fmt: skip
        areas = [area * h for area, h in zip(areas, heights)]
    return common / (sum(areas) - common)


def one_frame(
    truth: KittiObjects,
    found: KittiObjects,
    name: str,
    metric: str,
    level: str,
    minimum: float,
    threshold: float | None,
) -> tuple[list[float], float, int]:
    """Scores of the true positives, orientation similarity, false positives.

    Without a threshold the first pass, else the second.
    """
    first_pass = threshold is None
    free = [
        first_pass or found.scores[j] >= threshold for j in range(len(found))
    ]
    kinds = []
    for j in range(len(found)):
        height = abs(found.bboxes[j, 3] - found.bboxes[j, 1])
        if height < SIZES[level]:
            kinds.append(1)
        else:
            kinds.append(0 if found.types[j] == name else -1)
    scores, similarity = [], 0.0
    for i in range(len(truth)):
        kind = truth.types[i].lower()
        if kind not in (name.lower(), NEIGHBORS[name]):
            continue
        height = abs(truth.bboxes[i, 3] - truth.bboxes[i, 1])
        ignored = (
            kind != name.lower()
            or height <= SIZES[level]
            or truth.occluded[i] > OCCLUSIONS[level]
            or truth.truncated[i] > TRUNCATIONS[level]
        )
        usable = [j for j in range(len(found)) if free[j] and kinds[j] != -1]
        best = match(
            truth, i, found, usable, kinds, metric, minimum, first_pass
        )
        if best is None:
            continue
        free[best] = False
        if not ignored and kinds[best] == 0:
            scores.append(found.scores[best])
            gap = truth.alphas[i] - found.alphas[best]
            similarity += (1 + math.cos(gap)) / 2
    false = sum(
        free[j]
        and kinds[j] == 0
        and not (metric == '2d' and is_excused(truth, found, j, minimum))
        for j in range(len(found))
    )
    return scores, similarity, false


def match(
    truth: KittiObjects,
    i: int,
    found: KittiObjects,
    usable: list[int],
    kinds: list[int],
    metric: str,
    minimum: float,
    first_pass: bool,
) -> int | None:
    """The detection that object ``i`` takes, or None."""
    best, best_value, best_small = None, -math.inf, False
    for j in usable:
        value = overlap(
            metric, truth.bboxes[i], truth.boxes_3d[i],
            found.bboxes[j], found.boxes_3d[j],
        )  # fmt: skip
        if value <= minimum:
            continue
        if first_pass:
            if found.scores[j] > best_value:
                best, best_value = j, found.scores[j]
        elif kinds[j] == 0:
            if best is None or best_small or value > best_value:
                best, best_value, best_small = j, value, False
        elif best is None:
            best, best_small = j, True
    return best


def is_excused(
    truth: KittiObjects, found: KittiObjects, j: int, minimum: float
) -> bool:
    """Whether detection ``j`` lies in a region that does not count."""
    b = found.bboxes[j]
    for i in range(len(truth)):
        if truth.types[i] != 'DontCare':
            continue
        a = truth.bboxes[i]
        common = interval(*a[[0, 2]], *b[[0, 2]]) * interval(
            *a[[1, 3]], *b[[1, 3]]
        )
        if common / ((b[2] - b[0]) * (b[3] - b[1])) > minimum:
            return True
    return False


def average_precision(
    labels: list[KittiObjects],
    results: list[KittiObjects],
    name: str,
    metric: str,
    level: str,
    minimum: float,
) -> tuple[float, float]:
    """R40 and R11 of precision and of orientation similarity."""
    num_truths = 0
    for truth in labels:
        for i in range(len(truth)):
            num_truths += (
                truth.types[i] == name
                and truth.bboxes[i, 3] - truth.bboxes[i, 1] > SIZES[level]
                and truth.occluded[i] <= OCCLUSIONS[level]
                and truth.truncated[i] <= TRUNCATIONS[level]
            )
    args = name, metric, level, minimum
    scores = []
    for truth, found in zip(labels, results):
        scores += one_frame(truth, found, *args, None)[0]
    scores.sort(reverse=True)
    thresholds, recall = [], 0.0
    for i, score in enumerate(scores):
        left, right = (i + 1) / num_truths, (i + 2) / num_truths
        is_last = i == len(scores) - 1
        if not is_last and right - recall < recall - left:
            continue
        thresholds.append(score)
        recall += 1 / 40
    curves = np.zeros((2, 41))
    for k, threshold in enumerate(thresholds):
        totals = np.zeros(3)
        for truth, found in zip(labels, results):
            part = one_frame(truth, found, *args, threshold)
            totals += len(part[0]), part[1], part[2]
        hits, similarity, false = totals
        curves[:, k] = hits / (hits + false), similarity / (hits + false)
    for k in range(39, -1, -1):
        curves[:, k] = np.maximum(curves[:, k], curves[:, k + 1])
    return curves[:, 1:].mean(1) * 100, curves[:, ::4].mean(1) * 100
