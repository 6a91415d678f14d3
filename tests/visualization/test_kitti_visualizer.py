"""What the picture of a frame shows, pixel by pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.kitti import HEIGHT, P2, WIDTH
from mmdet.registry import VISUALIZERS as MMDET_VISUALIZERS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from PIL import Image
from torch import Tensor

from lvt_dense.visualization import Mono3DVisualizer
from lvt_dense.visualization.kitti_visualizer import (
    PREDICTION_COLOR,
    TRUTH_COLOR,
)

SIZE = 480  # of the view from above
SCALE = SIZE // HEIGHT  # of the image in the picture


@pytest.fixture
def visualizer() -> Mono3DVisualizer:
    visualizer = Mono3DVisualizer(max_range=40.0, min_height=SIZE)
    visualizer.dataset_meta = dict(classes=('Pedestrian', 'Cyclist', 'Car'))
    return visualizer


def make_sample(
    boxes: list, score: float = 0.9, truths: Sequence = (), **meta: Any
) -> DetDataSample:
    def tensor(rows: list) -> Tensor:
        return torch.tensor(rows, dtype=torch.float32).reshape(-1, 7)

    sample = DetDataSample(
        metainfo=dict(
            cam2img=P2, ori_cam2img=P2, img_shape=(HEIGHT, WIDTH), **meta
        )
    )
    found = tensor(boxes)
    sample.pred_instances_3d = InstanceData(
        bboxes_3d=found,
        scores_3d=torch.full((len(found),), score),
        labels_3d=torch.full((len(found),), 2),
    )
    known = tensor(list(truths))
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=known, labels_3d=torch.zeros(len(known), dtype=torch.long)
    )
    return sample


def draw(
    visualizer: Mono3DVisualizer,
    sample: DetDataSample,
    tmp_path: Path,
    image: np.ndarray | None = None,
    **kwargs: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """The image part and the part from above."""
    if image is None:
        image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    path = tmp_path / 'out' / 'picture.png'
    visualizer.add_datasample(
        'frame', image, sample, out_file=str(path), **kwargs
    )
    picture = np.array(Image.open(path))
    assert picture.shape[0] == SIZE
    return picture[:, :-SIZE], picture[:, -SIZE:]


def pixels(
    part: np.ndarray, color: Sequence[int], tolerance: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows near a color."""
    gap = np.abs(part.astype(int) - color).max(-1)
    rows, columns = np.nonzero(gap < tolerance)
    return columns, rows


# Ahead, 4 m long and facing right; 3 m high, 2 m wide.
BOX = [0.0, 1.5, 12.0, 4.0, 3.0, 2.0, 0.0]


def test_edges_lie_where_the_camera_puts_them(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    image, _ = draw(visualizer, make_sample([BOX]), tmp_path)
    assert image.shape[1] == WIDTH * SCALE
    columns, rows = pixels(image, PREDICTION_COLOR, 30)
    # The near face: x = -2 .. 2 and y = -1.5 .. 1.5 at z = 11.
    left, bottom = P2 @ (-2, 1.5, 11, 1), P2 @ (2, 1.5, 11, 1)
    assert columns.min() == pytest.approx(SCALE * left[0] / left[2], abs=4)
    assert columns.max() == pytest.approx(SCALE * bottom[0] / bottom[2], abs=4)
    assert rows.max() == pytest.approx(SCALE * bottom[1] / bottom[2], abs=4)


def test_front_face_is_tinted(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    # Turned to the camera, then away: the near face is tinted only once.
    values = []
    for yaw in (np.pi / 2, -np.pi / 2):
        box = [*BOX[:6], yaw]
        box[2] = 8.0
        image, _ = draw(visualizer, make_sample([box]), tmp_path)
        # In the near face and outside the far one, near its left edge.
        u, v, depth = P2 @ (-0.85, 0.0, 6.0, 1)
        values.append(
            image[round(SCALE * v / depth), round(SCALE * u / depth)]
        )
    assert np.abs(values[1].astype(int) - 40).max() < 3
    assert values[0][0] > 80


def test_two_colors_and_which_of_them_is_drawn(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    other = [-4.0, 1.5, 12.0, 4.0, 3.0, 2.0, 0.0]
    sample = make_sample([BOX], truths=[other])
    image, _ = draw(visualizer, sample, tmp_path)
    truth, found = pixels(image, TRUTH_COLOR), pixels(image, PREDICTION_COLOR)
    assert truth[0].mean() < found[0].mean()
    image, _ = draw(visualizer, sample, tmp_path, draw_gt=False)
    assert len(pixels(image, TRUTH_COLOR)[0]) == 0
    image, _ = draw(visualizer, sample, tmp_path, draw_pred=False)
    assert len(pixels(image, PREDICTION_COLOR)[0]) == 0


def test_scores_below_the_threshold_are_left_out(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    sample = make_sample([BOX], score=0.2)
    image, _ = draw(visualizer, sample, tmp_path)
    assert len(pixels(image, PREDICTION_COLOR)[0]) == 0
    image, _ = draw(visualizer, sample, tmp_path, pred_score_thr=0.1)
    assert len(pixels(image, PREDICTION_COLOR)[0]) > 0


def test_class_and_score_are_written(
    visualizer: Mono3DVisualizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []
    from lvt_dense.visualization import kitti_visualizer

    monkeypatch.setattr(
        kitti_visualizer,
        '_text_box',
        lambda _, text, *__: written.append(text),
    )
    draw(visualizer, make_sample([BOX], truths=[BOX]), tmp_path)
    assert 'Car 0.90' in written and 'Pedestrian' in written


def test_view_from_above(visualizer: Mono3DVisualizer, tmp_path: Path) -> None:
    sample = make_sample([[5.0, 1.5, 20.0, 4.0, 1.5, 2.0, 0.0]])
    _, above = draw(visualizer, sample, tmp_path)
    columns, rows = pixels(above[60:], PREDICTION_COLOR)
    scale = (SIZE - 24) / 40
    middle = (columns.min() + columns.max()) / 2
    assert middle == pytest.approx(SIZE / 2 + 5 * scale, abs=2)
    assert 60 + rows.mean() == pytest.approx(SIZE - 6 - 20 * scale, abs=4)
    # 4 m wide as it faces right, with the thick front at the right end.
    assert np.ptp(columns) == pytest.approx(4 * scale, abs=4)
    right = (columns > middle + scale).sum()
    assert right > 1.5 * (columns < middle - scale).sum()


def test_range_rings(visualizer: Mono3DVisualizer, tmp_path: Path) -> None:
    _, above = draw(visualizer, make_sample([]), tmp_path)
    # Up the middle, a bit to the left of the figures.
    column = above[:, SIZE // 2 - 2].astype(int).sum(-1)
    ring = np.flatnonzero(column > column.min() + 60)
    scale = (SIZE - 24) / 40
    for distance in (10, 20, 30, 40):
        row = SIZE - 6 - distance * scale
        assert np.abs(ring - row).min() < 2


def test_boxes_beside_and_behind_the_camera(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    boxes = [
        [3.0, 1.5, 0.0, 9.0, 1.5, 2.0, 1.57],  # passes the camera
        [0.0, 1.5, -9.0, 4.0, 1.5, 2.0, 0.0],  # behind it
        [90.0, 1.5, 0.3, 4.0, 1.5, 0.2, 0.0],  # far outside
        [0.0, 1.5, 500.0, 4.0, 1.5, 2.0, 0.0],  # beyond the range
    ]
    image, _ = draw(visualizer, make_sample(boxes), tmp_path)
    columns, _ = pixels(image, PREDICTION_COLOR, 30)
    # The first shows, to the right of the middle.
    assert (columns > WIDTH * SCALE // 2 + 300).any()


def test_camera_of_the_image_that_is_given(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    # The network saw the image at half size; the picture is the original.
    half = np.diag([0.5, 0.5, 1]) @ P2
    sample = make_sample([BOX])
    sample.set_metainfo(
        dict(cam2img=half, img_shape=(HEIGHT // 2, WIDTH // 2))
    )
    original, _ = draw(visualizer, sample, tmp_path)
    small = np.full((HEIGHT // 2, WIDTH // 2, 3), 40, np.uint8)
    resized, _ = draw(visualizer, sample, tmp_path, image=small)
    one = pixels(original, PREDICTION_COLOR, 30)[0]
    two = pixels(resized, PREDICTION_COLOR, 30)[0]
    assert abs(one.min() - two.min()) <= 3 and abs(one.max() - two.max()) <= 3


def test_a_picture_without_sample(
    visualizer: Mono3DVisualizer, tmp_path: Path
) -> None:
    image, _ = draw(visualizer, None, tmp_path)
    assert (image == 40).all()


def test_logs_to_the_backends(tmp_path: Path) -> None:
    visualizer = MMDET_VISUALIZERS.build(
        dict(
            type='lvt_dense.Mono3DVisualizer',
            name='mono3d',
            vis_backends=[dict(type='LocalVisBackend')],
            save_dir=str(tmp_path),
        )
    )
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    visualizer.add_datasample('val_img', image, make_sample([BOX]), step=7)
    (path,) = tmp_path.rglob('val_img_7.png')
    # Without data set the class is its number; the picture is whole.
    assert Image.open(path).size == (
        round(WIDTH * 560 / HEIGHT) + 560,
        560,
    )
