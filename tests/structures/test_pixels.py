"""Maps of pixels, angles and the selection of objects."""

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from lvt_dense.structures import (
    centers_inside,
    flip_matrix,
    move_boxes,
    move_camera,
    resize_matrix,
    select_objects,
    shift_matrix,
    wrap_angle,
)


@pytest.mark.parametrize('size', [(40, 20), (90, 60), (30, 15)])
def test_resize_moves_pixels_as_opencv_does(size: tuple[int, int]) -> None:
    # A ramp says in every pixel where it comes from.
    columns, rows = np.meshgrid(np.arange(60.0), np.arange(30.0))
    matrix = resize_matrix(size[0] / 60, size[1] / 30)
    resized = [cv2.resize(ramp, size) for ramp in (columns, rows)]
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    for axis, (target, source) in enumerate(zip((u, v), resized)):
        moved = matrix[axis, axis] * source + matrix[axis, 2]
        inner = np.s_[2:-2, 2:-2]
        assert np.abs(moved - target)[inner].max() < 1e-6


def test_boxes_and_cameras_move_with_the_pixels() -> None:
    boxes = np.array([[10, 20, 30, 40]], np.float32)
    assert move_boxes(boxes, shift_matrix(5, -3)).tolist() == [
        [15, 17, 35, 37]
    ]
    assert move_boxes(boxes, flip_matrix(100)).tolist() == [[69, 20, 89, 40]]
    doubled = move_boxes(boxes, resize_matrix(2, 2))
    assert doubled.tolist() == [[20.5, 40.5, 60.5, 80.5]]
    assert doubled.dtype == np.float32
    camera = np.array([[7, 0, 50, 1], [0, 7, 20, 2], [0, 0, 1, 3.0]])
    point = np.array([1, 2, 9, 1])
    for matrix in (flip_matrix(100), resize_matrix(0.5, 2)):
        before, after = camera @ point, move_camera(camera, matrix) @ point
        expected = matrix @ before
        assert np.allclose(after, expected)
    assert move_camera(np.eye(4), flip_matrix(9)).shape == (4, 4)


@pytest.mark.parametrize(
    'make',
    [
        float,
        np.float32,
        lambda v: np.array([v]),
        lambda v: torch.tensor([v]),
        lambda v: torch.tensor([v], dtype=torch.float64),
    ],
)
def test_wrapped_angles_are_in_range(make: Callable) -> None:
    for value in (0.0, -math.pi, math.pi, 3 * math.pi, -1e-20, 4.0, -9.0):
        angle = make(value - math.pi) if value == -1e-20 else make(value)
        found = float(wrap_angle(angle))
        # In float32 -pi itself is a little less.
        assert -math.pi - 1e-6 < found < math.pi
        turns = (found - float(angle)) / (2 * math.pi)
        assert turns == pytest.approx(round(turns), abs=1e-6)


@pytest.mark.parametrize('make', [np.array, torch.tensor])
def test_selection_of_arrays_and_tensors(make: Callable) -> None:
    bboxes = make([[0.0, 0, 10, 30], [90.0, 0, 120, 20]])
    boxes_3d = make([[0.0, 0, 10, 1, 1, 1, 0], [0.0, 0, 70, 1, 1, 1, 0]])
    flags = make([0.0, 0.6]), make([0, 3])
    assert select_objects(bboxes, boxes_3d, *flags).tolist() == [True, True]
    for limit in (
        dict(min_height=25),
        dict(depth_range=(2, 65)),
        dict(max_truncation=0.5),
        dict(max_occlusion=2),
    ):
        kept = select_objects(bboxes, boxes_3d, *flags, **limit)
        assert kept.tolist() == [True, False]
    assert centers_inside(bboxes, 50, 100).tolist() == [True, False]
    assert centers_inside(bboxes, 12, 200).tolist() == [False, True]
