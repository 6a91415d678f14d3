"""Compare an exported graph with PyTorch, output by output."""

from collections.abc import Mapping

import numpy as np

from lvt_dense.utils.errors import UserError

# How much was compared, beside the differences.
COUNTS = ('detections', 'classes')
# Detections below this score are as good as none, and swap places easily.
_LEAST_SCORE = 1e-3
# Pixels or meters up to which a partner may be off by one.
_FAR = 1000.0


def compare_outputs(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Measure how far two sets of outputs lie apart.

    Detections are matched one to one: same label, nearest box.

    Args:
        expected: PyTorch's outputs by name, with a batch dimension.
        found: The exported graph's.

    Returns:
        By name of what was compared: ``boxes`` or ``boxes_3d`` (pixels or
        meters) and ``scores`` (those of MonoCon can exceed 1), both
        relative to the larger of 1 and the value; ``unmatched`` (share of
        detections without a partner), ``detections`` (number of those that
        want one), ``masks`` and ``labels`` (share of unequal cells or
        pixels), ``classes`` (number of those in a label map), or ``maps``
        (largest difference over the spread of the expected values).
    """
    if 'scores' in expected:
        return _compare_detections(expected, found)
    if 'labels' in expected:
        unequal = expected['labels'] != found['labels']
        classes = len(np.unique(expected['labels']))
        return dict(labels=float(unequal.mean()), classes=float(classes))
    worst = 0.0
    for name, value in expected.items():
        spread = max(float(np.abs(value).max()), 1e-6)
        worst = max(worst, float(np.abs(value - found[name]).max()) / spread)
    return dict(maps=worst)


def check_differences(
    differences: Mapping[str, float], tolerance: float
) -> None:
    """Check that differences are small.

    Args:
        differences: What :func:`compare_outputs` returns.
        tolerance: Largest difference of boxes, scores and maps; the share
            of unequal masks, pixels and detections may be ten times that.

    Raises:
        UserError: Names the first that is too large.
    """
    for name, value in differences.items():
        if name in COUNTS:
            continue
        shares = ('labels', 'masks', 'unmatched')
        limit = tolerance * (10 if name in shares else 1)
        if not value <= limit:
            raise UserError(
                f'the exported graph differs from PyTorch: {name} by '
                f'{value:.2g}, allowed is {limit:.2g}; nothing was written '
                '(--tolerance allows more)'
            )


def _compare_detections(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> dict[str, float]:
    key = 'boxes_3d' if 'boxes_3d' in expected else 'boxes'
    worst: dict[str, float] = {key: 0.0, 'scores': 0.0}
    matched = total = 0
    cells, unequal = 0, 0
    for image in range(len(expected['scores'])):
        ours = {k: v[image] for k, v in expected.items()}
        theirs = {k: v[image] for k, v in found.items()}
        pairs, count = _match(ours, theirs, key)
        matched, total = matched + len(pairs), total + count
        for i, j in pairs:
            for name in (key, 'scores'):
                gap = _relative_gap(ours[name][i], theirs[name][j])
                worst[name] = max(worst[name], gap)
            if 'masks' in ours:
                one, two = ours['masks'][i] > 0.5, theirs['masks'][j] > 0.5
                cells, unequal = cells + one.size, unequal + (one != two).sum()
    worst['unmatched'] = 1 - matched / total if total else 0.0
    worst['detections'] = float(total)
    if cells:
        worst['masks'] = float(unequal / cells)
    return worst


def _relative_gap(
    one: np.ndarray | float, two: np.ndarray | float, unit: float = 1.0
) -> float:
    """Return the largest difference, relative to values above ``unit``."""
    scale = np.maximum(np.abs(one) / unit, 1.0)
    return float((np.abs(one - two) / scale).max())


def _match(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], key: str
) -> tuple[list[tuple[int, int]], int]:
    """Pair detections; also count those that want a partner."""
    wanted = np.flatnonzero(ours['scores'] > _LEAST_SCORE)
    free = set(np.flatnonzero(theirs['scores'] > 0))
    # The last ones may be tied with ones that did not make it.
    last = ours['scores'][wanted[-1]] if len(wanted) else 0.0
    full = len(wanted) == len(ours['scores']) and theirs['scores'].all()
    pairs = []
    for i in wanted:
        rivals = [j for j in free if theirs['labels'][j] == ours['labels'][i]]
        gaps = [
            _relative_gap(ours[key][i], theirs[key][j], _FAR)
            + _relative_gap(ours['scores'][i], theirs['scores'][j])
            for j in rivals
        ]
        best = int(np.argmin(gaps)) if gaps else -1
        if best >= 0 and gaps[best] < 1.0:
            pairs.append((int(i), int(rivals[best])))
            free.discard(rivals[best])
    tied = 0
    if full:
        lost = set(wanted.tolist()) - {i for i, _ in pairs}
        tied = sum(_relative_gap(ours['scores'][i], last) < 1e-5 for i in lost)
    return pairs, len(wanted) - tied
