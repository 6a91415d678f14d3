"""Box geometry against cases worked out by hand and against real labels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lvt_dense.structures import (
    BOX_EDGES,
    FRONT_FACE,
    alpha_to_yaw,
    box2d_from_boxes3d,
    boxes_to_bev,
    boxes_to_corners,
    geometric_centers,
    project_points,
    unproject_points,
    wrap_angle,
    yaw_to_alpha,
)

# Focal length 700, center (600, 180), camera shifted as KITTI's P2 is.
P2 = np.array(
    [
        [700.0, 0.0, 600.0, 45.0],
        [0.0, 700.0, 180.0, 0.2],
        [0.0, 0.0, 1.0, 0.003],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
PLAIN = np.array([[100.0, 0, 50, 0], [0, 100, 40, 0], [0, 0, 1, 0]])


def random_boxes(num: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    low = [-20, 0.5, 5, 0.5, 1, 0.4, -math.pi]
    high = [20, 2.5, 60, 5, 2, 2, math.pi]
    return torch.tensor(rng.uniform(low, high, (num, 7)), dtype=torch.float32)


def test_corners_of_a_box_that_faces_right() -> None:
    box = torch.tensor([[10.0, 2.0, 20.0, 4.0, 1.5, 2.0, 0.0]])
    corners = boxes_to_corners(box)
    assert corners.shape == (1, 8, 3)
    # Forward is +x, so the driver's left is away from the camera, +z.
    expected = [
        [12, 2, 21], [12, 2, 19], [8, 2, 21], [8, 2, 19],
        [12, 0.5, 21], [12, 0.5, 19], [8, 0.5, 21], [8, 0.5, 19],
    ]  # fmt: skip
    assert torch.allclose(corners[0], torch.tensor(expected))


def test_corners_of_a_box_that_faces_the_camera() -> None:
    # A yaw of +90 degrees turns the front from +x to -z.
    box = torch.tensor([0.0, 1.0, 10.0, 4.0, 1.5, 2.0, math.pi / 2])
    corners = boxes_to_corners(box)
    front = corners[list(FRONT_FACE)]
    assert torch.allclose(front[:, 2], torch.full((4,), 8.0), atol=1e-5)
    # Seen from the camera, its left side is on our right.
    assert corners[0, 0] == pytest.approx(1.0, abs=1e-5)
    assert corners[1, 0] == pytest.approx(-1.0, abs=1e-5)


def test_edges_are_the_sides_of_the_box() -> None:
    corners = boxes_to_corners(
        torch.tensor([0.0, 0.0, 10.0, 4.0, 1.5, 2.0, 0.7])
    )
    lengths = sorted(
        round(float((corners[i] - corners[j]).norm()), 3) for i, j in BOX_EDGES
    )
    assert lengths == [1.5] * 4 + [2.0] * 4 + [4.0] * 4


def test_mirroring_swaps_the_partners() -> None:
    boxes = random_boxes(16)
    mirrored = boxes.clone()
    mirrored[:, 0] *= -1
    mirrored[:, 6] = wrap_angle(math.pi - boxes[:, 6])
    swapped = boxes_to_corners(boxes)[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    swapped = swapped * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(boxes_to_corners(mirrored), swapped, atol=1e-4)


def test_geometric_center_is_the_mean_of_the_corners() -> None:
    boxes = random_boxes(8)
    means = boxes_to_corners(boxes).mean(1)
    assert torch.allclose(geometric_centers(boxes), means, atol=1e-5)


def test_projection_by_hand() -> None:
    point = torch.tensor([1.0, -2.0, 9.997])
    u, v, depth = project_points(point, P2).tolist()
    assert depth == pytest.approx(10.0, abs=1e-5)
    assert u == pytest.approx((700 + 600 * 9.997 + 45) / 10, abs=1e-3)
    assert v == pytest.approx((-1400 + 180 * 9.997 + 0.2) / 10, abs=1e-3)


def test_projection_takes_a_camera_for_each_box() -> None:
    points = torch.tensor([[0.0, 0.0, 10.0], [0.0, 0.0, 10.0]])
    cameras = torch.tensor(np.stack([P2[:3], P2[:3]]), dtype=torch.float32)
    cameras[1, 0, 2] += 7
    pixels = project_points(points, cameras)
    # The third row is not quite z, so that 7 px of shift become 6.998.
    assert pixels[1, 0] - pixels[0, 0] == pytest.approx(70 / 10.003, abs=1e-3)


@pytest.mark.parametrize('rows', [3, 4])
def test_unproject_is_the_inverse(rows: Any) -> None:
    points = geometric_centers(random_boxes(64))
    uvd = project_points(points, P2[:rows])
    assert torch.allclose(unproject_points(uvd, P2[:rows]), points, atol=1e-4)


@pytest.mark.parametrize(
    'angle, wrapped',
    [(0, 0), (math.pi, -math.pi), (-math.pi, -math.pi), (4, 4 - 2 * math.pi),
     (-7, -7 + 2 * math.pi), (-1e-9 - math.pi, math.pi - 1e-9)],
)  # fmt: skip
def test_wrap_angle(angle: float, wrapped: float) -> None:
    out = wrap_angle(torch.tensor(angle, dtype=torch.float64))
    assert -math.pi <= float(out) < math.pi
    assert float(out) == pytest.approx(wrapped, abs=1e-8)


def test_wrap_angle_stays_below_pi_in_float32() -> None:
    angles = torch.linspace(-10, 10, 100001) - math.pi
    wrapped = wrap_angle(angles)
    assert wrapped.max() < torch.tensor(math.pi)
    assert torch.allclose(wrapped.sin(), angles.sin(), atol=1e-5)


def test_observation_angle() -> None:
    # An object 45 degrees to the right that faces right is seen as one
    # straight ahead that has turned by -45 degrees.
    u = torch.tensor([50.0 + 100.0, 50.0])
    alpha = yaw_to_alpha(torch.zeros(2), u, PLAIN)
    assert torch.allclose(alpha, torch.tensor([-math.pi / 4, 0.0]))
    yaw = torch.linspace(-3.1, 3.1, 2)
    again = alpha_to_yaw(yaw_to_alpha(yaw, u, PLAIN), u, PLAIN)
    assert torch.allclose(again, yaw, atol=1e-6)


def test_box2d_by_hand() -> None:
    # Seen from the front: the near face, 4 wide and 2 high at depth 8.
    box = torch.tensor([[0.0, 1.0, 10.0, 4.0, 2.0, 4.0, 0.0]])
    box2d = box2d_from_boxes3d(box, PLAIN)
    assert torch.allclose(box2d, torch.tensor([[25.0, 27.5, 75.0, 52.5]]))
    clipped = box2d_from_boxes3d(box, PLAIN, (50, 60))
    assert torch.allclose(clipped, torch.tensor([[25.0, 27.5, 59.0, 49.0]]))


def test_box2d_of_a_box_that_passes_the_camera() -> None:
    # Beside the camera on the right, from 5 m behind to 5 m ahead of it.
    box = torch.tensor([[3.0, 1.0, 0.0, 10.0, 2.0, 2.0, math.pi / 2]])
    x1, y1, x2, y2 = box2d_from_boxes3d(box, PLAIN)[0].tolist()
    # Its leftmost visible point is the far left edge, x = 2 at z = 5.
    assert x1 == pytest.approx(50 + 100 * 2 / 5, abs=1e-3)
    # The rightmost is cut off at 0.1 m: x = 4 there.
    assert x2 == pytest.approx(50 + 100 * 4 / 0.1, rel=1e-4)
    assert y1 < 0 < 40 < y2
    clipped = box2d_from_boxes3d(box, PLAIN, (80, 100))
    assert clipped[0].tolist() == pytest.approx([90, 0, 99, 79], abs=1e-3)


def test_box2d_of_a_box_behind_the_camera_is_zero() -> None:
    box = torch.tensor([[0.0, 1.0, -20.0, 4.0, 2.0, 2.0, 0.3]])
    assert box2d_from_boxes3d(box, PLAIN).tolist() == [[0, 0, 0, 0]]


def test_empty_input_keeps_its_shape() -> None:
    none = torch.zeros(0, 7)
    assert boxes_to_corners(none).shape == (0, 8, 3)
    assert box2d_from_boxes3d(none, P2, (375, 1242)).shape == (0, 4)
    assert boxes_to_bev(none).shape == (0, 5)


def test_gradients_match_finite_differences() -> None:
    boxes = random_boxes(3).double().requires_grad_()

    def whole(boxes: Tensor) -> tuple[Tensor, ...]:
        uvd = project_points(geometric_centers(boxes), P2)
        alpha = yaw_to_alpha(boxes[:, 6], uvd[:, 0], P2)
        box2d = box2d_from_boxes3d(boxes, P2)
        return boxes_to_corners(boxes), unproject_points(uvd, P2), alpha, box2d

    assert torch.autograd.gradcheck(whole, boxes)


def test_gradients_are_finite_at_and_behind_the_camera() -> None:
    boxes = random_boxes(4)
    boxes[:, 2] = torch.tensor([0.0, -0.003, -30.0, 1.0])
    boxes.requires_grad_()
    uvd = project_points(geometric_centers(boxes), P2)
    (box2d_from_boxes3d(boxes, P2).sum() + uvd.sum()).backward()
    assert boxes.grad.isfinite().all()


def test_bev_rectangles_have_the_sign_that_mmcv_expects() -> None:
    ops = pytest.importorskip('mmcv.ops')
    # A probe just inside a corner of a turned box lies in it as a whole,
    # unless the rectangle turns the other way.
    box = torch.tensor([[0.0, 0.0, 10.0, 6.0, 1.5, 1.0, 0.6]])
    center = torch.tensor([0.0, 0.0, 10.0])
    corner = boxes_to_corners(box)[0, 0].lerp(center, 0.1)
    probe = torch.tensor([[corner[0], corner[2], 0.02, 0.02, 0.0]])
    inside = ops.box_iou_rotated(probe, boxes_to_bev(box), mode='iof')
    assert inside.item() > 0.99
    mirrored = boxes_to_bev(box) * torch.tensor([1, 1, 1, 1, -1])
    assert ops.box_iou_rotated(probe, mirrored, mode='iof').item() < 0.01


def test_real_labels(real_data: Path) -> None:
    from lvt_dense.datasets.kitti.labels import read_calib, read_labels

    root = real_data / 'kitti' / 'training'
    angle_errors, edge_errors = [], []
    for path in sorted((root / 'label_2').glob('*.txt')):
        labels = read_labels(path)
        labels = labels[labels.is_type('Car', 'Pedestrian', 'Cyclist')]
        cam2img = read_calib(root / 'calib' / path.name)
        boxes = torch.from_numpy(labels.boxes_3d).float()
        u = project_points(geometric_centers(boxes), cam2img)[:, 0]
        alpha = yaw_to_alpha(boxes[:, 6], u, cam2img)
        gap = wrap_angle(alpha - torch.from_numpy(labels.alphas).float())
        angle_errors.append(gap.abs())
        whole = torch.from_numpy(labels.truncated == 0)
        box2d = box2d_from_boxes3d(boxes, cam2img)
        edge_errors.append((box2d - torch.from_numpy(labels.bboxes))[whole])
    angle_errors = torch.cat(angle_errors)
    edge_errors = torch.cat(edge_errors)
    assert len(angle_errors) > 400
    assert (angle_errors < 0.03).float().mean() >= 0.95
    # Projected boxes enclose the labeled ones: 95 % of all edges to 2 px.
    outward = edge_errors * torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert (outward < 2).float().mean() >= 0.95
    assert edge_errors.abs().median() < 1
