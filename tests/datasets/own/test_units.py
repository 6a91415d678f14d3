"""Boxes in other units or another form are refused; odd right ones are not."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.own_data import Shot, make_shots, write_coco, write_yolo

from lvt_dense.datasets.own.api import load_labels
from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.datasets.own.units import check_units
from lvt_dense.utils.errors import UserError

SHOTS = make_shots(4)
Boxes = list[tuple[float, float, float, float]]


def data_of(
    boxes: Boxes,
    layout: str = 'COCO JSON',
    size: tuple[int, int] = (640, 480),
    areas: list[float] | None = None,
) -> LabeledData:
    """One image with some boxes [left, top, width, height] in pixels."""
    objects = [Object(0, box, source=i) for i, box in enumerate(boxes, 1)]
    for item, area in zip(objects, areas or ()):
        item.area = area
    sample = Sample(Path('a.png'), *size, objects)
    return LabeledData(
        layout,
        Path('data'),
        ['bolt'],
        {'train': [sample]},
        is_normalized=layout == 'YOLO',
    )


def random_boxes(count: int = 60, seed: int = 0) -> np.ndarray:
    """Boxes [left, top, width, height] of all sizes within 640 x 480."""
    rng = np.random.default_rng(seed)
    size = np.array([640, 480])
    sides = size * rng.uniform(0.02, 0.9, (count, 2))
    return np.hstack([rng.uniform(0, 1, (count, 2)) * (size - sides), sides])


def rows(boxes: np.ndarray) -> Boxes:
    """The rows of an array as tuples."""
    return [tuple(row) for row in boxes.tolist()]


def edit(root: Path, change: Callable[[dict], None]) -> Path:
    """Change every annotation of a COCO data set."""
    for path in (root / 'annotations').glob('*.json'):
        content = json.loads(path.read_text())
        for item in content['annotations']:
            change(item)
        path.write_text(json.dumps(content))
    return root


def as_corners(item: dict) -> None:
    x, y, w, h = item['bbox']
    item['bbox'] = [x, y, x + w, y + h]


def as_center(item: dict) -> None:
    x, y, w, h = item['bbox']
    item['bbox'] = [x + w / 2, y + h / 2, w, h]


# Refused
@pytest.mark.parametrize('task', ['detection', 'instance'])
@pytest.mark.parametrize('change, form', [
    (as_corners, 'left, top, right, bottom'),
    (as_center, 'center x, center y, width, height'),
])  # fmt: skip
def test_masks_tell_the_form(
    change: Callable, form: str, task: str, tmp_path: Path
) -> None:
    root = edit(write_coco(tmp_path / 'data', SHOTS), change)
    with pytest.raises(UserError) as caught:
        load_labels(None, root, task)
    assert str(caught.value).startswith(
        f'{root}/annotations/instances_train.json: the boxes are [{form}], as '
        'the masks show (annotation 1 has the box ['
    )
    assert str(caught.value).endswith(
        ' around a mask in [30, 11, 36, 31]); bbox must be [left, top, '
        'width, height]'
    )


def test_masks_in_other_units(tmp_path: Path) -> None:
    def shrink(item: dict) -> None:
        item['segmentation'] = [[v / 100 for v in item['segmentation'][0]]]

    root = edit(write_coco(tmp_path / 'data', SHOTS), shrink)
    with pytest.raises(
        UserError,
        match='7 of 7 boxes do not meet the masks '
        r'of their objects \(annotation 1 has the box \[30, '
        r'11, 36, 31\] around a mask in \[0.3, 0.11, 0.36, ',
    ):
        load_labels(None, root, 'instance')  # fmt: skip


def test_one_mask_that_is_elsewhere(tmp_path: Path) -> None:
    def move(item: dict) -> None:
        if item['id'] == 2:
            item['segmentation'] = [[90, 60, 95, 60, 95, 70]]

    root = edit(write_coco(tmp_path / 'data', SHOTS), move)
    found = load_labels(None, root, 'instance').findings
    kind = 'boxes do not meet the masks of their objects'
    assert found.count(kind) == 2
    assert 'instances_train.json annotation 2' in found.lines()[0]


@pytest.mark.parametrize('change, form', [
    (lambda x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
     'left, top, right, bottom'),
    (lambda x, y, w, h: (x - w / 2, y - h / 2, w, h),
     'left, top, width, height'),
])  # fmt: skip
def test_yolo_boxes_of_another_form(
    change: Callable, form: str, tmp_path: Path
) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    for path in root.glob('labels/*/*.txt'):
        lines = [line.split() for line in path.read_text().splitlines()]
        path.write_text('\n'.join(
            ' '.join(map(str, (words[0], *change(*map(float, words[1:])))))
            for words in lines
        ))  # fmt: skip
    with pytest.raises(UserError) as caught:
        load_labels(None, root, 'detection')
    message = str(caught.value)
    words = 'of 10 boxes reach past their image (train_0.png (train_0.txt:1)'
    assert words in message
    assert message.endswith(
        f'all would fit as [{form}]; YOLO has [center x, center y, width, '
        'height]'
    )


def test_centers_without_masks() -> None:
    boxes = random_boxes()
    boxes[:, :2] += boxes[:, 2:] / 2
    with pytest.raises(
        UserError,
        match=r'would fit as \[center x, center y, '
        r'width, height\]; COCO JSON has \[left, top, ',
    ):
        check_units(data_of(rows(boxes)))  # fmt: skip


def test_areas_tell_corners_of_small_objects() -> None:
    boxes = [(10 + 9 * i, 20 + 5 * i, 30 + 9 * i, 40 + 5 * i)
             for i in range(10)]  # fmt: skip
    data = data_of(boxes, areas=[400.0] * 10)
    with pytest.raises(
        UserError,
        match=r'the boxes are \[left, top, right, '
        r'bottom\], as their areas show \(a.png \(1\): 10, 20',
    ):
        check_units(data)  # fmt: skip
    check_units(data_of(boxes))


def test_fractions_and_percent() -> None:
    with pytest.raises(UserError, match='all 1 boxes are between 0 and 1'):
        check_units(data_of([(0.1, 0.2, 0.3, 0.4)]))
    data = data_of([(10.0, 20, 30, 40)] * 20)
    check_units(data)
    assert 'may be percent' in data.findings.lines()[0]


def test_a_box_without_numbers_is_that_of_its_mask(tmp_path: Path) -> None:
    def clear(item: dict) -> None:
        item['bbox'] = [0, 0, 0, 0]

    root = edit(write_coco(tmp_path / 'data', SHOTS), clear)
    data = load_labels(None, root, 'detection')
    found = data.splits['train'][0].objects[0]
    assert found.bbox == SHOTS['train'][0].boxes[0][1]


# Right, and not refused
GOOD: dict[str, LabeledData] = {
    'one small box': data_of([(1.0, 1, 9, 9)]),
    'small boxes in the corner': data_of(
        [(i, i, 12.0, 12) for i in range(10)]
    ),
    'large boxes drawn past the border': data_of(
        [(2.0 + i, 3, 645 - i, 484) for i in range(10)]
    ),
    'boxes of whole objects, most of them cut': data_of(
        [(300.0 + 10 * i, 200, 250, 400) for i in range(10)]
        + [(600.0, 50, 20, 60)]
    ),
    'boxes that reach past two sides': data_of(
        [(-80.0, -60, 400, 300), (500, 400, 300, 200)] * 5
    ),
    'boxes with the area of a mask': data_of(
        rows(random_boxes()),
        areas=(0.4 * random_boxes()[:, 2:].prod(1)).tolist(),
    ),
    'YOLO rounded to three digits': data_of(
        [(-0.3, -0.3, 640.6, 480.6)] * 10, 'YOLO'
    ),
    'YOLO, whole objects': data_of(
        [(-150.0 + i, 20, 400, 500) for i in range(10)]
        + [(20.0, 20, 10, 10), (500, 300, 100, 100)],
        'YOLO',
    ),
    'two boxes past their image': data_of(
        [(200.0, 200, 500, 400), (300, 250, 600, 450)]
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', GOOD)
def test_odd_right_boxes(name: str) -> None:
    check_units(GOOD[name])
    assert not GOOD[name].findings.lines()


@pytest.mark.parametrize('seed', range(5))
def test_random_right_boxes(seed: int) -> None:
    for layout in ('COCO JSON', 'YOLO', 'Pascal VOC XML'):
        for count in (1, 3, 60):
            data = data_of(rows(random_boxes(count, seed)), layout)
            check_units(data)
            assert not data.findings.lines()


def test_coarse_crowds_and_parts(tmp_path: Path) -> None:
    """A box around all parts of an object, and one of what is not seen."""

    def split(item: dict) -> None:
        x, y, w, h = item['bbox']
        item['segmentation'] = [
            [x, y, x + w / 4, y, x, y + h / 4],
            [x + w, y + h, x + 3 * w / 4, y + h, x + w, y + 3 * h / 4],
        ]
        if item['id'] % 2:  # only the upper third is seen
            item['segmentation'] = [[x, y, x + w, y, x + w, y + h / 3]]
        item['area'] = w * h / 16

    shots = {
        split: [Shot(s.name, s.size, s.boxes) for s in items]
        for split, items in SHOTS.items()
    }
    root = edit(write_coco(tmp_path / 'data', shots), split)
    data = load_labels(None, root, 'instance')
    assert not data.findings.lines()
    assert sum(len(s.objects) for s in data.splits['train']) == 7


def test_outlines_smaller_than_their_boxes(tmp_path: Path) -> None:
    def shrink(item: dict) -> None:
        x, y, w, h = item['bbox']
        u, v = x + w / 2, y + h / 2
        item['segmentation'] = [[u, v, u + 2, v, u + 2, v + 2]]

    root = edit(write_coco(tmp_path / 'data', SHOTS), shrink)
    assert not load_labels(None, root, 'instance').findings.lines()


def test_many_boxes_take_no_time() -> None:
    data = data_of(rows(random_boxes(100_000)))
    start = time.process_time()
    check_units(data)
    assert time.process_time() - start < 2


def test_areas_beyond_their_boxes() -> None:
    data = data_of([(10.0, 10, 20, 20)] * 4, areas=[400, 300, 1e6, 0])
    check_units(data)
    assert data.findings.lines() == [
        '1 objects have a larger area than their box, by which metrics tell '
        'small from large ones: a.png (3): 10, 10, 20, 20'
    ]
