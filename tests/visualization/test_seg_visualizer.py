"""Pictures of label maps: pixels that can be counted by hand."""

from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from lvt_dense.utils.errors import UserError
from lvt_dense.visualization.seg_drawing import (
    RIGHT,
    WRONG,
    colorize,
    draw_errors,
    draw_legend,
    draw_side_by_side,
    overlay,
)
from lvt_dense.visualization.seg_visualizer import SegVisualizer

CLASSES = ('sky', 'road')
PALETTE = [[10, 20, 30], [200, 100, 0]]
TRUTH = np.array([[0, 0, 1], [1, 1, 255]])
PREDICTED = np.array([[0, 1, 1], [1, 0, 0]])
IMAGE = np.full((2, 3, 3), 100, np.uint8)
STRIP = 20  # height of a title


def test_colors_are_those_of_the_palette() -> None:
    picture = colorize(TRUTH, PALETTE)
    assert picture[0, 0].tolist() == [10, 20, 30]
    assert picture[1, 1].tolist() == [200, 100, 0]
    assert picture[1, 2].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ('opacity', 'expected'),
    [(0.0, [100, 100, 100]), (0.25, [125, 100, 75]), (1.0, [200, 100, 0])],
)
def test_opacity_is_the_weight_of_the_color(
    opacity: float, expected: Any
) -> None:
    picture = overlay(IMAGE, TRUTH, PALETTE, opacity)
    assert picture[0, 2].tolist() == expected
    assert picture[1, 2].tolist() == [100, 100, 100]  # no class


def test_error_map_tells_right_wrong_and_ignored() -> None:
    picture = draw_errors(PREDICTED, TRUTH)
    expected = [[RIGHT, WRONG, RIGHT], [RIGHT, WRONG, (0, 0, 0)]]
    np.testing.assert_array_equal(picture, expected)


def test_legend_breaks_into_rows() -> None:
    wide = draw_legend(CLASSES * 5, PALETTE * 5, 1000)
    narrow = draw_legend(CLASSES * 5, PALETTE * 5, 120)
    assert wide.shape[0] < narrow.shape[0]
    assert narrow.shape[1] == 120
    for color in PALETTE:
        assert (narrow == color).all(axis=-1).sum() == 5 * 12 * 12


def test_panels_stand_side_by_side() -> None:
    sheet = draw_side_by_side(IMAGE, PREDICTED, TRUTH, CLASSES, PALETTE, 1.0)
    row = sheet[STRIP : STRIP + 2]
    np.testing.assert_array_equal(row[:, :3], IMAGE)
    np.testing.assert_array_equal(row[:, 6:9], colorize(PREDICTED, PALETTE))
    np.testing.assert_array_equal(row[:, 9:], draw_errors(PREDICTED, TRUTH))
    alone = draw_side_by_side(IMAGE, PREDICTED, None, CLASSES, PALETTE, 1.0)
    assert alone.shape[1] == 6


def sample(**fields: np.ndarray) -> SegDataSample:
    data = {
        key: PixelData(data=torch.from_numpy(value)[None])
        for key, value in fields.items()
    }
    return SegDataSample(**data)


def test_files_of_a_prediction(tmp_path: Path) -> None:
    visualizer = SegVisualizer(alpha=0.25)
    visualizer.dataset_meta = dict(classes=CLASSES, palette=PALETTE)
    visualizer.add_datasample(
        'street',
        IMAGE,
        sample(gt_sem_seg=TRUTH, pred_sem_seg=PREDICTED),
        out_file=str(tmp_path / 'street.png'),
    )
    labels = mmcv.imread(str(tmp_path / 'street_labels.png'), 'unchanged')
    np.testing.assert_array_equal(labels, PREDICTED)

    def read(name: str) -> np.ndarray:
        return mmcv.imread(str(tmp_path / name), channel_order='rgb')

    np.testing.assert_array_equal(
        read('street_mask.png'), colorize(PREDICTED, PALETTE)
    )
    np.testing.assert_array_equal(
        read('street_overlay.png'), overlay(IMAGE, PREDICTED, PALETTE, 0.25)
    )
    assert read('street.png').shape[1] == 4 * 3


def test_opacity_out_of_range() -> None:
    visualizer = SegVisualizer()
    with pytest.raises(UserError, match='opacity 1.5'):
        visualizer.alpha = 1.5
