"""Test whether the difference between two runs is significant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvt_dense.utils.progress import tqdm

from .average_precision import Curves, average_precision
from .semantic import SemanticFigures

ROUNDS = 1000
# Above this many entries to rank in a round, fewer rounds have to do.
_MANY = 1_000_000
_FEW_ROUNDS = 200
LEVEL = 0.05

# Metric of the data set in which each image counts as often as told.
Weighted = Callable[[np.ndarray], float]


@dataclass
class Difference:
    """How much better a run is than the first one.

    Attributes:
        value: Difference of the metric.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        p_value: Chance of a difference of either sign at least this far from
            0 if there were none.
        rounds: How often the images were drawn.
    """

    value: float
    low: float
    high: float
    p_value: float
    rounds: int

    @property
    def is_significant(self) -> bool:
        """Whether the difference is more than noise of the images."""
        return self.p_value < LEVEL


def compare_runs(
    metrics: Sequence[Weighted],
    num_images: int,
    rounds: int = ROUNDS,
    seed: int = 0,
    quiet: bool = True,
) -> list[Difference]:
    """Compare runs with the first one by a bootstrap over the images.

    In each round as many images are drawn as there are, with repetition, and
    all runs are scored on the same ones (Efron and Tibshirani, 1993).

    Args:
        metrics: The metric of each run, given the weights (I,) of images.
        num_images: Number I of images.
        rounds: How often images are drawn.
        seed: Seed of the draws.
        quiet: Show no progress bar.

    Returns:
        One entry for each run but the first.
    """
    generator = np.random.default_rng(seed)
    draws = np.empty((rounds, len(metrics)))
    for r in tqdm(range(rounds), 'Bootstrap', disable=quiet or None):
        chosen = generator.integers(num_images, size=num_images)
        weights = np.bincount(chosen, minlength=num_images)
        draws[r] = [metric(weights) for metric in metrics]
    whole = [metric(np.ones(num_images, dtype=np.int64)) for metric in metrics]
    found = []
    for k in range(1, len(metrics)):
        gaps = draws[:, k] - draws[:, 0]
        gaps = gaps[np.isfinite(gaps)]
        if not len(gaps):
            nan = float('nan')
            found.append(Difference(nan, nan, nan, 1.0, rounds))
            continue
        tail = min((gaps <= 0).mean(), (gaps >= 0).mean())
        low, high = np.percentile(gaps, (2.5, 97.5)).tolist()
        # no draw at all is less than one in so many
        p_value = float(min(1.0, 2 * max(tail, 1 / len(gaps))))
        found.append(
            Difference(whole[k] - whole[0], low, high, p_value, rounds)
        )
    return found


def choose_rounds(curves: Sequence[Curves]) -> int:
    """Return how many rounds are worth their time."""
    work = max(c.is_right.shape[0] * c.is_right.shape[2] for c in curves)
    return _FEW_ROUNDS if work > _MANY else ROUNDS


def weighted_ap(curves: Curves, first_only: bool = False) -> Weighted:
    """Return the mean AP over classes and thresholds, by weights of images.

    Args:
        curves: What AP is made of.
        first_only: Take the first IoU threshold alone.
    """
    if first_only:
        curves = replace(
            curves,
            is_right=curves.is_right[:1],
            left_out=curves.left_out[:1],
        )

    def metric(weights: np.ndarray) -> float:
        precision, _ = average_precision(curves, weights, area=0)
        known = precision[~np.isnan(precision)]
        return float(known.mean()) if len(known) else float('nan')

    return metric


def weighted_miou(figures: SemanticFigures) -> Weighted:
    """Return mIoU by weights of images."""

    def metric(weights: np.ndarray) -> float:
        part, whole = (
            weights @ figures.intersections,
            weights @ figures.unions,
        )
        return float((part[whole > 0] / whole[whole > 0]).mean())

    return metric
