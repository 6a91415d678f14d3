"""KITTI's metrics as lines of text."""

from collections.abc import Sequence

import numpy as np

from .average_precision import (
    CLASSES,
    DIFFICULTIES,
    METRICS,
    Scores,
    score_key,
)

_WIDTHS = (13, 10, 10)


def format_scores(
    scores: Scores,
    metrics: Sequence[str] = METRICS,
    classes: Sequence[str] = CLASSES,
) -> str:
    """Format metrics with two decimals, '-' where there is none.

    Args:
        scores: As from :func:`evaluate_kitti`.
        metrics: Rows for each class, in this order.
        classes: Classes of the scores, in this order.
    """
    names = [f'{n} {m.upper()}' for n in classes for m in metrics]
    first = max(16, *(len(name) + 1 for name in names))
    head = ''.join(
        f'{"AP|" + kind + " easy":>13}{"moderate":>10}{"hard":>10}'
        for kind in ('R40', 'R11')
    )
    keys = [score_key(n, m) for n in classes for m in metrics]
    lines = [' ' * first + head]
    for name, key in zip(names, keys):
        cells = [
            f'{_cell(scores[key][level][kind]):>{width}}'
            for kind in ('R40', 'R11')
            for level, width in zip(DIFFICULTIES, _WIDTHS)
        ]
        lines.append(f'{name:{first}}' + ''.join(cells))
    return '\n'.join(lines)


def _cell(value: float | None) -> str:
    return '-' if value is None or np.isnan(value) else f'{value:.2f}'
