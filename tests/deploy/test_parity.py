"""Differences of outputs, and what is refused."""

import numpy as np
import pytest

from lvt_dense.deploy.parity import check_differences, compare_outputs
from lvt_dense.utils.errors import UserError


def detections(order: list[int], shift: float = 0.0) -> dict:
    boxes = np.array(
        [[[0, 0, 10, 10], [5, 5, 50, 50], [60, 0, 90, 40]]], float
    )
    scores, labels = np.array([[0.9, 0.5, 0.5]]), np.array([[1, 0, 0]])
    return dict(
        boxes=boxes[:, order] + shift,
        scores=scores[:, order],
        labels=labels[:, order],
    )


def test_order_does_not_matter() -> None:
    gaps = compare_outputs(detections([0, 1, 2]), detections([0, 2, 1]))
    assert gaps == dict(boxes=0.0, scores=0.0, unmatched=0.0, detections=3.0)


def test_nothing_to_compare_is_no_difference_and_counted() -> None:
    none = detections([0, 1, 2])
    none['scores'][:] = 0.0
    gaps = compare_outputs(none, none)
    assert gaps['detections'] == gaps['unmatched'] == 0
    check_differences(dict(gaps, detections=500.0, classes=3.0), 1e-4)


def test_a_shift_is_measured() -> None:
    gaps = compare_outputs(detections([0, 1, 2]), detections([0, 1, 2], 0.5))
    assert gaps['boxes'] == pytest.approx(0.5)


def test_large_scores_differ_by_their_share() -> None:
    one, two = detections([0, 1, 2]), detections([0, 1, 2])
    one['scores'] = one['scores'] * 1e5
    two['scores'] = one['scores'] + 2.0
    gaps = compare_outputs(one, two)
    assert gaps['unmatched'] == gaps['boxes'] == 0
    assert gaps['scores'] == pytest.approx(2 / one['scores'].min())


def test_partners_far_away_may_be_further_apart() -> None:
    one, two = detections([0, 1, 2]), detections([0, 1, 2])
    one['boxes'] = one['boxes'] * 1e4
    two['boxes'] = one['boxes'] * (1 + 1e-5)
    gaps = compare_outputs(one, two)
    assert gaps['unmatched'] == 0
    assert gaps['boxes'] == pytest.approx(1e-5)
    gaps = compare_outputs(detections([0, 1, 2]), detections([0, 1, 2], 1.5))
    assert gaps['unmatched'] == 1


def test_a_lost_detection_and_another_class_count() -> None:
    found = detections([0, 1, 2])
    found['labels'] = np.array([[0, 0, 0]])
    found['scores'][0, 2] = 0.0
    gaps = compare_outputs(detections([0, 1, 2]), found)
    assert gaps['unmatched'] == pytest.approx(2 / 3)


def test_label_maps() -> None:
    one, two = np.zeros((1, 10, 10)), np.zeros((1, 10, 10))
    two[0, 0, :5] = 1
    gaps = compare_outputs(dict(labels=two), dict(labels=one))
    assert gaps == dict(labels=0.05, classes=2.0)


@pytest.mark.parametrize('value', [2e-4, float('nan')])
def test_too_much_is_refused(value: float) -> None:
    check_differences(dict(boxes=0.9e-4, labels=0.9e-3), 1e-4)
    with pytest.raises(UserError, match='boxes by .*, allowed is 0.0001'):
        check_differences(dict(boxes=value), 1e-4)
