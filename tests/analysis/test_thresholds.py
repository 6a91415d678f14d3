"""Threshold curves and calibration against figures computed by hand."""

import numpy as np
import pytest

from lvt_dense.analysis.thresholds import calibrate, threshold_curve


def test_best_threshold() -> None:
    curve = threshold_curve(
        np.array([0.6, 0.9, 0.7, 0.8]), np.array([0, 1, 1, 0], bool), 3
    )
    np.testing.assert_allclose(curve.f1, [2 / 4, 2 / 5, 4 / 6, 4 / 7])
    best = curve.best()
    assert best is not None
    assert best.score_thr == 0.7
    assert best.precision == best.recall == pytest.approx(2 / 3)


def test_threshold_of_a_precision() -> None:
    curve = threshold_curve(
        np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0], bool), 3
    )
    assert curve.reach(0.6).score_thr == 0.7
    assert curve.reach(0.9).score_thr == 0.9
    assert curve.reach(0.5).score_thr == 0.6
    none_right = threshold_curve(np.array([0.9]), np.array([False]), 3)
    assert none_right.reach(0.5) is None
    assert none_right.best() is None


def test_equal_scores_are_kept_or_dropped_together() -> None:
    curve = threshold_curve(
        np.array([0.5, 0.5, 0.5]), np.array([1, 1, 0], bool), 2
    )
    assert curve.scores.tolist() == [0.5]
    assert curve.precision.tolist() == [pytest.approx(2 / 3)]


def test_a_threshold_between_scores() -> None:
    curve = threshold_curve(np.array([0.9, 0.4]), np.array([1, 0], bool), 1)
    assert curve.at(0.5).precision == 1
    assert curve.at(0.4).precision == 0.5
    assert curve.at(0.95).recall == 0


def test_calibration() -> None:
    # 0.8 with four right of five is perfect; 0.3 with none right is off by 0.3
    scores = np.array([0.8] * 5 + [0.3] * 5)
    right = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool)
    found = calibrate(scores, right)
    assert found.ece == pytest.approx(0.15)
    assert found.counts.sum() == 10


def test_calibration_of_perfect_scores_is_zero() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    right = rng.random(200_000) < scores
    assert calibrate(scores, right).ece < 0.01
    assert calibrate(scores, ~right).ece > 0.4
