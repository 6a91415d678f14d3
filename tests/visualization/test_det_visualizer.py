"""Pictures of detections: what is on them, and how long they take."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

from lvt_dense.visualization.det_drawing import draw_masks, text_color
from lvt_dense.visualization.det_visualizer import DetVisualizer
from lvt_dense.visualization.draw import build_visualizer

RED, BLUE = (255, 0, 0), (0, 0, 255)
GRAY = np.full((200, 300, 3), 90, np.uint8)


def picture(
    folder: Path, boxes: list, scores: list, image: np.ndarray = GRAY
) -> np.ndarray:
    """Draw predictions of the class red and return the picture."""
    visualizer = DetVisualizer(name=f'test_{folder.name}')
    visualizer.dataset_meta = dict(
        classes=('red', 'blue'), palette=[RED, BLUE]
    )
    sample = DetDataSample(
        pred_instances=InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor(scores),
            labels=torch.zeros(len(scores), dtype=torch.long),
        )
    )
    out = folder / 'out.png'
    visualizer.add_datasample(
        'a', image, sample, draw_gt=False, out_file=str(out)
    )
    return cv2.imread(str(out))[..., ::-1]


def is_red(pixels: np.ndarray) -> np.ndarray:
    return (pixels == RED).all(-1)


def test_box_and_text(tmp_path: Path) -> None:
    found = picture(tmp_path, [[50, 60, 150, 120]], [0.374])
    assert is_red(found[60, 50:151]).all() and is_red(found[60:121, 150]).all()
    assert (found[90, 100] == 90).all()
    label = found[44:60, 50:90]  # above the box: white on red
    assert is_red(label).any() and (label == 255).all(-1).any()


def test_text_says_class_and_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr(
        'lvt_dense.visualization.det_drawing._put_text',
        lambda picture, text, *rest: texts.append(text),
    )
    picture(tmp_path, [[5, 6, 50, 60], [9, 9, 30, 30]], [0.374, 0.9])
    assert texts == ['red 0.37', 'red 0.90']


def test_best_hundred_are_drawn(tmp_path: Path) -> None:
    boxes = [[2 * i, 100, 2 * i, 100] for i in range(120)]
    scores = np.linspace(0.9, 0.5, 120).tolist()
    found = picture(tmp_path, boxes, scores)
    assert is_red(found[100, 198])
    assert not is_red(found[100, 200:]).any()


def seconds(kind: type, count: int, folder: Path) -> float:
    """Processor time of a picture with so many labels."""
    visualizer = kind(name=f'{kind.__name__}_{count}')
    visualizer.dataset_meta = dict(classes=('red',), palette=[RED])
    corners = torch.rand(count, 2, generator=torch.manual_seed(0)) * 900
    instances = InstanceData(
        bboxes=torch.cat([corners, corners + 30], 1),
        labels=torch.zeros(count, dtype=torch.long),
    )
    start = time.process_time()
    visualizer.add_datasample(
        'a',
        np.zeros((960, 960, 3), np.uint8),
        DetDataSample(gt_instances=instances),
        draw_pred=False,
        out_file=str(folder / 'out.png'),
    )
    return time.process_time() - start


def test_crowded_image_is_drawn_fast(tmp_path: Path) -> None:
    """1,800 boxes take less than 90 do with MMDetection's visualizer."""
    ours = seconds(DetVisualizer, 1800, tmp_path)
    assert ours < seconds(DetLocalVisualizer, 90, tmp_path)


@pytest.mark.parametrize(
    ('color', 'expected'),
    [
        ((255, 255, 0), 0),
        ((0, 255, 0), 0),
        ((255, 255, 255), 0),
        ((0, 0, 255), 255),
        ((120, 0, 0), 255),
        ((0, 0, 0), 255),
    ],
)
def test_text_can_be_read(color: tuple, expected: int) -> None:
    assert set(text_color(color)) == {expected}


def test_masks_are_tinted() -> None:
    mask = np.zeros((1, 200, 300), bool)
    mask[0, 20:60, 30:90] = True
    found = draw_masks(GRAY, mask, [RED])
    assert found[40, 50].tolist() == [164, 49, 49]
    assert is_red(found[20, 30:90]).all()
    assert (found[~mask[0]] == 90).all()


def test_pictures_do_not_take_the_name_of_a_run() -> None:
    """A run that found this visualizer would write no logs."""
    cfg = Config(
        dict(visualizer=dict(type='mmdet.DetLocalVisualizer', name='run'))
    )
    assert type(build_visualizer(cfg)) is DetVisualizer
    assert not Visualizer.check_instance_created('run')
    assert not DetVisualizer.check_instance_created('run')
