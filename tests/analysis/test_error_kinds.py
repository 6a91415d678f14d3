"""Kinds of error, on cases small enough to compute by hand."""

import numpy as np
import pytest

from lvt_dense.analysis.detection import DetectionFigures, analyze_detection
from lvt_dense.analysis.records import Images, Objects, Record

# Boxes far from each other.
HERE, THERE = (0, 0, 100, 100), (200, 0, 100, 100)
NEARBY = (0, 0, 100, 40)  # IoU 0.4 with HERE
TWICE = (0, 0, 100, 90)  # IoU 0.9 with HERE


def analyze(truths: list, detections: list) -> DetectionFigures:
    """Analyze (label, box) and (label, box, score) of one image."""
    record = Record(
        'detection',
        ['cat', 'dog'],
        [],
        Images(['0'], [''], np.array([(400, 400)])),
        Objects.build(
            [0] * len(truths), [t[0] for t in truths], [t[1] for t in truths]
        ),
        Objects.build(
            [0] * len(detections),
            [d[0] for d in detections],
            [d[1] for d in detections],
            [d[2] for d in detections],
        ),
    )
    return analyze_detection(record)


def check(found: DetectionFigures, ap: float, kind: str, cost: float) -> None:
    errors = found.errors
    assert errors.ap == pytest.approx(ap)
    assert found.overall['AP50'] == pytest.approx(ap)
    assert errors.costs[kind] == pytest.approx(cost)
    wrong = [k for k in errors.kinds.tolist() if k]
    if kind != 'Miss':
        assert wrong == [kind]
    assert errors.counts[kind] == 1


def test_background() -> None:
    # one wrong before the right one: precision 1/2 at every recall
    found = analyze([(0, HERE)], [(0, THERE, 0.9), (0, HERE, 0.8)])
    check(found, 0.5, 'Bkg', 0.5)
    assert found.errors.costs['FP'] == pytest.approx(0.5)
    assert found.errors.costs['FN'] == 0


def test_duplicate() -> None:
    # precision 1 up to recall 0.5 (51 of 101 positions), then 2/3
    found = analyze(
        [(0, HERE), (0, THERE)],
        [(0, HERE, 0.9), (0, TWICE, 0.8), (0, THERE, 0.7)],
    )
    ap = (51 + 50 * 2 / 3) / 101
    check(found, ap, 'Dupe', 1 - ap)


def test_wrong_place() -> None:
    found = analyze([(0, HERE)], [(0, NEARBY, 0.9)])
    check(found, 0, 'Loc', 1)
    assert found.errors.counts['Miss'] == 0  # mending the place finds it


def test_wrong_class() -> None:
    # cat: nothing right. dog: one wrong before the right one, 1/2
    found = analyze([(0, HERE), (1, THERE)], [(1, HERE, 0.9), (1, THERE, 0.5)])
    check(found, 0.25, 'Cls', 0.75)
    assert found.confusion.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_wrong_class_and_place_and_a_missed_object() -> None:
    truths = [(0, HERE), (1, THERE)]
    found = analyze(truths, [(1, NEARBY, 0.9), (1, THERE, 0.5)])
    # without the error, dog has 1 and cat still 0
    check(found, 0.25, 'Both', 0.25)
    # without the cat, only dog is left, with 1/2
    check(found, 0.25, 'Miss', 0.25)
    assert found.errors.missed.tolist() == [True, False]
    assert found.confusion.tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_one_error_only_mends_an_object() -> None:
    # two in the wrong place: the better one is mended, the other dropped
    found = analyze([(0, HERE)], [(0, NEARBY, 0.9), (0, NEARBY, 0.8)])
    assert found.errors.counts['Loc'] == 2
    assert found.errors.costs['Loc'] == pytest.approx(1)


def test_crowds_are_neither_right_nor_wrong() -> None:
    record = Record(
        'detection',
        ['cat', 'dog'],
        [],
        Images(['0'], [''], np.array([(400, 400)])),
        Objects.build([0, 0], [0, 0], [HERE, THERE], ignored=[False, True]),
        Objects.build(
            [0] * 3, [0, 0, 1], [HERE, THERE, THERE], [0.9, 0.8, 0.7]
        ),
    )
    found = analyze_detection(record)
    assert found.overall['AP50'] == pytest.approx(1)
    # the crowd is of cats: a dog in it is wrong
    assert found.errors.kinds.tolist() == ['', '', 'Bkg']
    assert found.images.tolist() == [[1, 0, 0]]
