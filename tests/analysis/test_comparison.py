"""Whether a difference is called what it is."""

import numpy as np
import pytest
from helpers.records import random_record

from lvt_dense.analysis.average_precision import average_precision
from lvt_dense.analysis.comparison import compare_runs, weighted_ap
from lvt_dense.analysis.detection import analyze_detection
from lvt_dense.analysis.records import Record


def test_weights_of_one_are_the_ap() -> None:
    figures = analyze_detection(random_record(0))
    metric = weighted_ap(figures.ap_curves)
    assert metric(np.ones(8, int)) == pytest.approx(figures.overall['AP'])


def test_a_weight_of_two_is_the_image_twice() -> None:
    record = random_record(3, images=4)
    curves = analyze_detection(record).ap_curves
    weights = np.array([2, 1, 0, 1])
    found, _ = average_precision(curves, weights, area=0)
    twice = take(record, [0, 0, 1, 3])
    expected = analyze_detection(twice).ap_curves
    np.testing.assert_allclose(
        found, average_precision(expected, area=0)[0], atol=1e-12
    )


def take(record: Record, images: list[int]) -> Record:
    parts = {}
    for kind in ('truths', 'detections'):
        objects = getattr(record, kind)
        rows = [np.flatnonzero(objects.images == i) for i in images]
        taken = objects[np.concatenate(rows)]
        taken.images = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        parts[kind] = taken
    return Record('detection', record.classes, [], record.images, **parts)


def test_noise_is_called_noise_and_a_gain_a_gain() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(100)
    noise = base + rng.normal(0, 0.3, 100)
    better = base + 0.2 + rng.normal(0, 0.1, 100)
    found = compare_runs(
        [lambda w, v=v: float(w @ v / w.sum()) for v in (base, noise, better)],
        num_images=100,
        rounds=300,
    )
    assert not found[0].is_significant
    assert found[0].low < 0 < found[0].high
    assert found[1].is_significant
    assert 0.15 < found[1].low < found[1].value < found[1].high < 0.25


def test_equal_runs_differ_by_nothing() -> None:
    values = np.arange(10.0)
    metric = lambda w: float(w @ values)  # noqa: E731
    (found,) = compare_runs([metric, metric], 10, rounds=50)
    assert found.value == 0
    assert found.p_value == 1
