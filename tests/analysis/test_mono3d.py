"""Figures of 3D detectors, on labels that are taken for detections."""

from pathlib import Path

import numpy as np
import pytest
from helpers.kitti import OBJECTS, P2, write_kitti

from lvt_dense.analysis.kitti_record import pack_kitti
from lvt_dense.analysis.mono3d import analyze_mono3d
from lvt_dense.analysis.records import Images, Record, empty_objects
from lvt_dense.datasets.kitti.labels import KittiObjects, read_labels
from lvt_dense.report.gallery import draw_objects

CLASSES = ['Pedestrian', 'Cyclist', 'Car']


@pytest.fixture(scope='module')
def labels(tmp_path_factory: pytest.TempPathFactory) -> list[KittiObjects]:
    root: Path = write_kitti(tmp_path_factory.mktemp('kitti'))
    folder = root / 'training/label_2'
    return [read_labels(folder / f'{name}.txt') for name in OBJECTS]


def make_record(
    labels: list[KittiObjects], found: list[KittiObjects]
) -> Record:
    count = len(labels)
    record = Record(
        'mono3d',
        CLASSES,
        [],
        Images(
            [str(i) for i in range(count)],
            [''] * count,
            np.tile((160, 480), (count, 1)),
        ),
        empty_objects(),
        empty_objects(),
    )
    record.extra.update(pack_kitti(labels, 'truth'))
    record.extra.update(pack_kitti(found, 'detection'))
    camera = np.eye(4)
    camera[:3] = P2
    record.extra['cameras'] = np.tile(camera, (count, 1, 1))
    return record


def test_perfect_detections(labels: list[KittiObjects]) -> None:
    own = [part[part.is_type(*CLASSES)] for part in labels]
    found = analyze_mono3d(make_record(labels, own))
    figures = found.objects
    assert figures.overall['AP3D loose'] == pytest.approx(1)
    assert figures.overall['AP 0-20 m'] == pytest.approx(1)
    assert np.isnan(figures.overall['AP 40 m and more'])
    assert figures.num_truths.tolist() == [1, 1, 3]
    assert figures.images[:, 1:].sum() == 0
    assert figures.confusion[2, 2] == 3
    assert found.kitti['loose']['car_3d']['hard']['R40'] > 0


def test_a_van_is_no_car_and_no_error(labels: list[KittiObjects]) -> None:
    own = [part[part.is_type(*CLASSES, 'Van')] for part in labels]
    for part in own:
        part.types[part.is_type('Van')] = 'Car'
    figures = analyze_mono3d(make_record(labels, own)).objects
    assert figures.num_truths.tolist() == [1, 1, 3]
    assert figures.is_wrong.sum() == 0


def test_a_shift_of_a_car_length_is_wrong(labels: list[KittiObjects]) -> None:
    own = [part[part.is_type(*CLASSES)] for part in labels]
    for part in own:
        part.boxes_3d[:, 2] += 6
    figures = analyze_mono3d(make_record(labels, own)).objects
    assert figures.overall['AP3D loose'] == 0
    assert figures.errors.counts['Miss'] == 5


def test_boxes_are_drawn_on_the_image(labels: list[KittiObjects]) -> None:
    own = [part[part.is_type(*CLASSES)] for part in labels]
    record = make_record(labels, own)
    figures = analyze_mono3d(record).objects
    image = np.zeros((160, 480, 3), np.uint8)
    truth, prediction = draw_objects(record, figures, 3, image)
    assert truth.any() and prediction.any()
    assert not image.any()
