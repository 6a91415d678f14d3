"""The protocol against official figures, plain loops and hand-made cases."""

import json
import math
import zipfile
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation.kitti.kitti_loops import average_precision

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.evaluation.kitti.average_precision import (
    CLASSES,
    DIFFICULTIES,
    METRICS,
    count_valid,
    evaluate_kitti,
    required_overlap,
)

NONE = KittiObjects.from_rows([], [])


def car(
    x: float = 0.0,
    z: float = 20.0,
    name: str = 'Car',
    score: float = 1.0,
    alpha: float = 0.5,
    **changes: Any,
) -> tuple[str, list[float]]:
    """A box 100 px wide and 60 high, away from those at another x."""
    values = dict(truncated=0, occluded=0, left=x * 100, top=100, height=60)
    values.update(size=(4.0, 1.5, 2.0), yaw=0.0, y=1.6)
    values.update(changes)
    length, high, wide = values['size']
    left, top = values['left'], values['top']
    row = [values['truncated'], values['occluded'], alpha, left, top]
    row += [left + 100, top + values['height'], high, wide, length]
    return name, [*row, x * 10, values['y'], z, values['yaw'], score]


def frame(*items: tuple[str, list[float]]) -> KittiObjects:
    return KittiObjects.from_rows(
        [name for name, _ in items], [row for _, row in items]
    )


def fifty(**changes: Any) -> list[KittiObjects]:
    return [frame(car(**changes)) for _ in range(50)]


def moderate(scores: dict, key: str = 'car_3d') -> float:
    return scores[key]['moderate']['R40']


def test_predicting_the_ground_truth_gives_100() -> None:
    items = [
        car(x, z, name, alpha=0.1 * x)
        for x in range(3)
        for z, name in ((10, 'Car'), (30, 'Pedestrian'), (50, 'Cyclist'))
    ]
    # Objects of one column overlap in the image, those of a row do not.
    for i, (_, row) in enumerate(items):
        row[4] += 70 * (i % 3)
        row[6] += 70 * (i % 3)
    frames = [frame(*items) for _ in range(14)]
    scores = evaluate_kitti(frames, frames)
    assert len(scores) == 12
    for levels in scores.values():
        for entry in levels.values():
            assert entry == {'R40': 100, 'R11': 100}


def test_nothing_found_gives_0() -> None:
    scores = evaluate_kitti(fifty(), [NONE] * 50)
    assert scores['car_2d']['easy'] == {'R40': 0, 'R11': 0}


def test_no_ground_truth_gives_none() -> None:
    scores = evaluate_kitti(fifty(), fifty())
    assert scores['cyclist_3d']['easy'] == {'R40': None, 'R11': None}
    assert moderate(scores) == 100


def test_half_of_the_objects_found_gives_half() -> None:
    results = fifty()[:25] + [NONE] * 25
    # Recall ends at 0.5: 20 of the 40 positions are reached.
    assert moderate(evaluate_kitti(fifty(), results)) == 50


def test_a_false_positive_above_all_halves_precision() -> None:
    results = [frame(car(score=0.5), car(x=5, score=0.9)) for _ in range(50)]
    assert moderate(evaluate_kitti(fifty(), results)) == 50
    # Below all true positives it does not count.
    results = [frame(car(score=0.5), car(x=5, score=0.1)) for _ in range(50)]
    assert moderate(evaluate_kitti(fifty(), results)) == 100


def test_second_detection_of_an_object_is_false() -> None:
    results = [frame(car(score=0.5), car(score=0.5)) for _ in range(50)]
    assert moderate(evaluate_kitti(fifty(), results)) == 50


def test_few_ground_truths_cap_the_figure() -> None:
    # 21 true positives are 21 thresholds, of which the first is recall 0.
    scores = evaluate_kitti(fifty()[:21], fifty()[:21])
    assert moderate(scores) == pytest.approx(20 / 40 * 100)


def test_overlap_must_exceed_the_threshold() -> None:
    # Shifted along its 4 m: IoU is (4 - d) / (4 + d), 0.7 for 0.70588 m.
    for shift, expected in ((0.70, 100), (0.71, 0)):
        results = fifty()
        for item in results:
            item.boxes_3d[:, 0] += shift
        scores = evaluate_kitti(fifty(), results)
        assert moderate(scores) == moderate(scores, 'car_bev') == expected
        assert moderate(scores, 'car_2d') == 100
    loose = evaluate_kitti(fifty(), results, 'loose')
    assert moderate(loose) == 100


def test_height_counts_in_3d_only() -> None:
    results = fifty(y=1.1)  # 1 m of 2 m is common: IoU is 1/3 at h = 1.5
    scores = evaluate_kitti(fifty(), results)
    assert moderate(scores, 'car_bev') == 100 and moderate(scores) == 0


def test_overlap_of_turned_boxes() -> None:
    # A square against itself at 45 degrees: IoU is 1 / sqrt(2) = 0.7071.
    labels = fifty(size=(2.0, 1.5, 2.0))
    turned = fifty(size=(2.0, 1.5, 2.0), yaw=math.pi / 4)
    assert moderate(evaluate_kitti(labels, turned)) == 100
    # With sides of 2 and 2.2 it is 0.689.
    turned = fifty(size=(2.2, 1.5, 2.2), yaw=math.pi / 4)
    assert moderate(evaluate_kitti(labels, turned)) == 0


def test_yaw_turns_the_right_way() -> None:
    # Ahead and to the right: nose toward the camera's left, y axis down.
    labels = fifty(yaw=0.6, size=(4.0, 1.5, 1.0))
    results = fifty(yaw=0.6, size=(4.0, 1.5, 1.0))
    for item in results:  # along the box: forward is (cos, -sin)
        item.boxes_3d[:, 0] += 0.6 * math.cos(0.6)
        item.boxes_3d[:, 2] -= 0.6 * math.sin(0.6)
    assert moderate(evaluate_kitti(labels, results)) == 100
    for item in results:
        item.boxes_3d[:, 2] += 1.2 * math.sin(0.6)
    assert moderate(evaluate_kitti(labels, results)) == 0


def test_neighbor_classes_are_neither_right_nor_wrong() -> None:
    labels = [frame(car(), car(x=5, name='Van')) for _ in range(50)]
    results = [frame(car(score=0.5), car(x=5, score=0.9))] * 50
    assert moderate(evaluate_kitti(labels, results)) == 100
    labels = [frame(car(), car(x=5, name='Truck')) for _ in range(50)]
    assert moderate(evaluate_kitti(labels, results)) == 50


def test_hard_objects_are_ignored_where_they_are_too_hard() -> None:
    extra = dict(x=5, occluded=1, truncated=0.2)
    labels = [frame(car(), car(**extra)) for _ in range(50)]
    scores = evaluate_kitti(labels, fifty())
    found = [scores['car_3d'][level]['R40'] for level in DIFFICULTIES]
    assert found == [100, 50, 50]
    assert count_valid(labels, 'Car', 'easy') == 50
    assert count_valid(labels, 'Car', 'moderate') == 100


def test_limits_of_the_difficulties() -> None:
    def valid(**changes: Any) -> list[int]:
        label = [frame(car(**changes))]
        return [count_valid(label, 'Car', level) for level in DIFFICULTIES]

    assert valid(height=40.0) == [0, 1, 1]
    assert valid(height=40.1) == [1, 1, 1]
    assert valid(height=25.0) == [0, 0, 0]
    assert valid(truncated=0.15) == [1, 1, 1]
    assert valid(truncated=0.3) == [0, 1, 1]
    assert valid(truncated=0.5) == [0, 0, 1]
    assert valid(truncated=0.51) == [0, 0, 0]
    assert valid(occluded=2) == [0, 0, 1]
    assert valid(occluded=3) == [0, 0, 0]
    assert valid(name='car') == [1, 1, 1]


def test_small_detections_of_any_class_hold_an_object() -> None:
    # 24 px high and of another class: it keeps the car from being missed,
    # and from being found.
    results = [
        frame(car(score=0.9, height=24, name='Tram')) for _ in range(50)
    ]
    assert moderate(evaluate_kitti(fifty(), results)) == 0
    # One that counts replaces it in the second pass, whatever its overlap.
    results = [
        frame(
            car(score=0.8, height=24, name='Tram'),
            car(score=0.9, size=(4.2, 1.5, 2.0)),
        )
        for _ in range(50)
    ]
    assert moderate(evaluate_kitti(fifty(), results)) == 100


def test_dont_care_regions_excuse_in_the_image_only() -> None:
    region = 'DontCare', [-1, -1, -10, 400, 50, 700, 300, *[-1] * 3,
                          -1000, -1000, -1000, -10, 1]  # fmt: skip
    labels = [frame(car(), region) for _ in range(50)]
    results = [frame(car(score=0.5), car(x=5, score=0.9))] * 50
    scores = evaluate_kitti(labels, results)
    assert moderate(scores, 'car_2d') == 100
    assert moderate(scores, 'car_bev') == moderate(scores) == 50


@pytest.mark.parametrize(
    'turn, expected', [(0, 100), (math.pi / 2, 50), (math.pi, 0)]
)
def test_orientation(turn: float, expected: float) -> None:
    scores = evaluate_kitti(fifty(alpha=0.5), fifty(alpha=0.5 + turn))
    assert moderate(scores, 'car_aos') == pytest.approx(expected)
    assert moderate(scores, 'car_2d') == 100


def test_no_orientation_without_alpha() -> None:
    results = fifty()
    results[3].alphas[:] = -10
    scores = evaluate_kitti(fifty(), results)
    assert moderate(scores, 'car_aos') is None
    assert moderate(scores, 'car_2d') == 100


def test_missing_alphas_are_computed() -> None:
    truth = fifty(x=3.0, yaw=0.4, alpha=-10.0)
    found = fifty(x=3.0, yaw=0.4, alpha=0.4 - math.atan2(30.0, 20.0))
    scores = evaluate_kitti(truth, found)
    assert moderate(scores, 'car_aos') == pytest.approx(100)
    for labels in truth:
        labels.boxes_3d[:, :3] = -1000
    scores = evaluate_kitti(truth, found)
    assert scores['car_aos']['moderate']['R40'] is None


def test_frames_must_be_the_same() -> None:
    with pytest.raises(ValueError, match='50 frames of labels and 49'):
        evaluate_kitti(fifty(), fifty()[1:])


def crowded_frames(
    num: int, seed: int
) -> tuple[list[KittiObjects], list[KittiObjects]]:
    """Frames in which many boxes compete: few places, much jitter."""
    rng = np.random.default_rng(seed)
    names = ['Car', 'Pedestrian', 'Cyclist', 'Van', 'Person_sitting']

    def make(count: int, is_label: bool) -> KittiObjects:
        items = []
        for _ in range(count):
            x, z = rng.integers(0, 2), 20 + 8 * rng.integers(0, 2)
            jitter = rng.normal(0, 0.12, 6)
            items.append(
                car(
                    x + jitter[0] * 0.03, z + jitter[1],
                    str(rng.choice(names if is_label else names[:3])),
                    score=float(rng.choice([0.1, 0.3, 0.5, 0.6, 0.9])),
                    alpha=rng.uniform(-3, 3),
                    left=100 * x + 20 * jitter[2], top=100 + 9 * jitter[3],
                    height=float(rng.choice([24.0, 25, 26, 40, 41, 41, 42])),
                    truncated=rng.choice([0, 0, 0.2, 0.4, 0.6]),
                    occluded=rng.choice([0, 0, 1, 2, 3]),
                    size=(4 + jitter[4], 1.5, 2 + jitter[5]),
                    yaw=rng.integers(-2, 3) * math.pi / 2,
                )
            )  # fmt: skip
        if is_label:
            box = rng.uniform(0, 60, 2)
            items.append(
                ('DontCare', [-1, -1, -10, *box, *(box + 120), *[-1] * 3,
                              -1000, -1000, -1000, -10, 1])
            )  # fmt: skip
        return frame(*items)

    labels = [make(rng.integers(0, 7), True) for _ in range(num)]
    results = [make(rng.integers(0, 9), False) for _ in range(num)]
    return labels, results


@pytest.mark.parametrize('seed', range(4))
def test_arrays_agree_with_plain_loops(seed: int) -> None:
    labels, results = crowded_frames(80, seed)
    scores = evaluate_kitti(labels, results, 'loose')
    seen = 0
    for name in CLASSES:
        for metric in METRICS[:3]:
            minimum = required_overlap(name, metric, 'loose')
            for level in DIFFICULTIES:
                r40, r11 = average_precision(
                    labels, results, name, metric, level, minimum
                )
                entry = scores[f'{name.lower()}_{metric}'][level]
                assert entry['R40'] == pytest.approx(r40[0], abs=1e-6)
                assert entry['R11'] == pytest.approx(r11[0], abs=1e-6)
                seen += 0 < entry['R40'] < 100
                if metric == '2d':
                    aos = scores[f'{name.lower()}_aos'][level]
                    assert aos['R40'] == pytest.approx(r40[1], abs=1e-6)
    assert seen > 10  # the frames are a test only if figures lie between


def test_official_figures(reference_dir: Path) -> None:
    folder = reference_dir / 'kitti_eval'
    official = json.loads((folder / 'official_ap.json').read_text())['ap']
    parts = {'label_2': [], 'results': []}
    with zipfile.ZipFile(folder / 'frames.zip') as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith('.txt'):
                continue
            with archive.open(name) as file:
                rows = [line.split() for line in TextIOWrapper(file)]
            parts[name.split('/')[0]].append(
                KittiObjects.from_rows(
                    [row[0] for row in rows],
                    [list(map(float, row[1:])) for row in rows],
                )
            )
    scores = evaluate_kitti(parts['label_2'], parts['results'])
    checked = 0
    for key, levels in official.items():
        for level, entry in levels.items():
            for points, value in entry.items():
                found = scores[key][level][points]
                assert found == pytest.approx(value, abs=1e-3)
                checked += 1
    assert checked == 72


@pytest.mark.parametrize(
    'name, metric, overlaps, own, expected',
    [
        ('Car', '3d', 'strict', None, 0.7),
        ('Car', '2d', 'loose', None, 0.7),
        ('Car', 'bev', 'loose', None, 0.5),
        ('Pedestrian', '3d', 'strict', None, 0.5),
        ('Cyclist', '3d', 'loose', None, 0.25),
        ('truck', '3d', 'strict', None, 0.7),
        ('Van', 'bev', 'loose', None, 0.5),
        ('Cow', '2d', 'strict', None, 0.5),
        ('Cow', '3d', 'strict', 0.4, 0.4),
        ('Cow', '3d', 'loose', 0.4, 0.2),
        ('Cow', '2d', 'loose', 0.4, 0.4),
    ],
)
def test_overlaps_by_class(
    name: str, metric: str, overlaps: str, own: float | None, expected: float
) -> None:
    found = required_overlap(name, metric, overlaps, own)
    assert found == pytest.approx(expected)
