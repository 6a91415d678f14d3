"""The figures equal those of pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from helpers.records import random_record, to_coco
from pycocotools.cocoeval import COCOeval

from lvt_dense.analysis.average_precision import (
    average_precision,
    build_curves,
)
from lvt_dense.analysis.detection import analyze_detection
from lvt_dense.analysis.matching import find_overlaps, keep_best, match_objects
from lvt_dense.analysis.records import Record


def official(record: Record, kind: str) -> COCOeval:
    truth, found = to_coco(record)
    if kind == 'segm':  # else pycocotools takes the areas of the boxes
        found = [{k: v for k, v in f.items() if k != 'bbox'} for f in found]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_ap_and_recall_equal_pycocotools(seed: int, kind: str) -> None:
    record = random_record(
        seed, masks=kind == 'segm', coarse_scores=seed % 2 == 1
    )
    judge = official(record, kind)
    figures = analyze_detection(record, by_mask=kind == 'segm')
    names = ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl']
    names = [*names, 'AR100', 'ARs', 'ARm', 'ARl']
    expected = [*judge.stats[:6], *judge.stats[8:]]
    for name, value in zip(names, expected):
        own = figures.overall[name]
        assert (-1 if np.isnan(own) else own) == pytest.approx(
            value, abs=1e-12
        ), name
    assert 0.05 < figures.overall['AP50'] < 0.95


def test_every_class_and_threshold_equals_pycocotools() -> None:
    record = random_record(5)
    judge = official(record, 'bbox')
    found = keep_best(record.detections)
    pairs = find_overlaps(record.images, record.truths, found)
    matches = match_objects(record.truths, found, pairs)
    curves = build_curves(
        record.truths, found, matches, len(record.classes), len(record.images)
    )
    precision, recall = average_precision(curves)
    expected = judge.eval['precision'][..., -1].mean(1).transpose(1, 0, 2)
    np.testing.assert_allclose(
        np.nan_to_num(precision, nan=-1), expected, atol=1e-12
    )
    expected = judge.eval['recall'][..., -1].transpose(1, 0, 2)
    np.testing.assert_allclose(np.nan_to_num(recall, nan=-1), expected)


def test_only_a_hundred_detections_of_a_class_count() -> None:
    record = random_record(1, images=1, detections=400, classes=2)
    assert len(keep_best(record.detections)) == 200
    judge = official(record, 'bbox')
    assert analyze_detection(record).overall['AP'] == pytest.approx(
        judge.stats[0], abs=1e-12
    )


def test_without_detections() -> None:
    record = random_record(0, detections=0)
    figures = analyze_detection(record)
    assert figures.overall['AP'] == 0
    assert figures.best is None
    assert figures.images[:, 2].sum() == (~record.truths.ignored).sum()
