"""Figures of label maps against loops and against erosion."""

import cv2
import numpy as np
import pytest

from lvt_dense.analysis.records import Images, Record, empty_objects
from lvt_dense.analysis.semantic import (
    analyze_semantic,
    boundary,
    encode_map,
)
from lvt_dense.analysis.thresholds import confidence_table


def record_of(truths: list, maps: list, classes: int = 3) -> Record:
    size = np.shape(truths[0])
    return Record(
        'semantic',
        [f'class {i}' for i in range(classes)],
        [],
        Images(
            [str(i) for i in range(len(maps))],
            [''] * len(maps),
            np.array([size] * len(maps)),
        ),
        empty_objects(),
        empty_objects(),
        true_maps=[encode_map(np.array(m)) for m in truths],
        maps=[encode_map(np.array(m)) for m in maps],
    )


def test_figures_by_hand() -> None:
    truth = [[0, 0, 1, 1], [0, 0, 1, 255]]
    found = [[0, 1, 1, 1], [0, 0, 1, 0]]
    figures = analyze_semantic(record_of([truth], [found]))
    assert figures.confusion.tolist() == [[3, 1, 0], [0, 3, 0], [0, 0, 0]]
    assert figures.per_class[0]['IoU'] == pytest.approx(3 / 4)
    assert figures.per_class[1]['IoU'] == pytest.approx(3 / 4)
    assert np.isnan(figures.per_class[2]['IoU'])
    assert figures.overall['mIoU'] == pytest.approx(3 / 4)
    assert figures.overall['mAcc'] == pytest.approx((3 / 4 + 1) / 2)
    assert figures.overall['aAcc'] == pytest.approx(6 / 7)
    assert figures.per_class[1]['Precision'] == pytest.approx(3 / 4)
    assert figures.overall['Acc small'] == pytest.approx((3 / 4 + 1) / 2)
    assert np.isnan(figures.overall['Acc large'])


def test_by_image_differs_from_the_whole() -> None:
    # a small object that one image misses: half of its class by image
    truths = [np.zeros((20, 20), int), np.zeros((20, 20), int)]
    truths[0][:10] = 1
    truths[1][:2] = 1
    maps = [truths[0], np.zeros((20, 20), int)]
    figures = analyze_semantic(record_of(truths, maps))
    first, second = 1, (360 / 400 + 0) / 2
    assert figures.image_iou.tolist() == pytest.approx([first, second])
    assert figures.overall['mIoU by image'] == pytest.approx(
        (first + second) / 2
    )
    assert figures.overall['mIoU'] == pytest.approx(
        (560 / 600 + 200 / 240) / 2
    )


@pytest.mark.parametrize('width', [1, 3])
def test_boundary_is_that_of_the_official_erosion(width: int) -> None:
    rng = np.random.default_rng(0)
    mask = cv2.blur(rng.random((60, 80)), (15, 15)) > 0.5
    padded = np.pad(mask.astype(np.uint8), 1)
    eroded = cv2.erode(padded, np.ones((3, 3)), iterations=width)
    expected = mask & ~eroded[1:-1, 1:-1].astype(bool)
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(boundary(mask, width), expected)


def test_boundary_iou_is_below_iou_for_a_shift() -> None:
    truth, found = np.zeros((100, 100), int), np.zeros((100, 100), int)
    truth[20:80, 20:80] = 1
    found[22:82, 20:80] = 1
    figures = analyze_semantic(record_of([truth], [found]))
    row = figures.per_class[1]
    assert row['IoU'] > 0.9
    assert row['boundary IoU'] < 0.6
    same = analyze_semantic(record_of([truth], [truth]))
    assert same.overall['boundary IoU'] == 1


def test_calibration_of_pixels() -> None:
    record = record_of([[[0]]], [[[0]]])
    record.confidence = confidence_table(
        np.array([0.9, 0.9]), np.array([True, False])
    )
    found = analyze_semantic(record).calibration
    assert found is not None
    assert found.ece == pytest.approx(0.4)
