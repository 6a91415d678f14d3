import math

import pytest
import torch
import torch.nn.functional as F
from helpers.fcos3d_points import assign_points
from mmengine.structures import InstanceData

from lvt_dense.models.mono3d.fcos3d_coder import (
    Points,
    decode_half_turns,
    encode_direction,
    encode_points,
    fuse_depth,
    make_points,
)

# No offsets: the point (x, y, z) is seen at 300 + 400 x / z, 100 + 400 y / z.
CAMERA = torch.tensor(
    [[400.0, 0, 300, 0], [0, 400, 100, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
)


def _objects(*rows: tuple) -> InstanceData:
    """Objects of 2 m height from (x, z, label, 2D box)."""
    count = len(rows)
    boxes = torch.zeros(count, 7)
    for box, (x, z, _, _) in zip(boxes, rows):
        box[:] = torch.tensor([x, 1.0, z, 4.0, 2.0, 1.6, 0.0])
    return InstanceData(
        bboxes_3d=boxes,
        labels_3d=torch.tensor([row[2] for row in rows]),
        bboxes=torch.tensor([row[3] for row in rows]),
    )


def test_points_lie_at_the_centers_of_cells() -> None:
    points = make_points([(2, 3), (1, 2)], (4, 8), torch.zeros(1))
    assert points.xy[:6].tolist() == [
        [2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6]
    ]  # fmt: skip
    assert points.xy[6:].tolist() == [[4, 4], [12, 4]]
    assert points.stride.tolist() == [4] * 6 + [8] * 2
    assert points.low.tolist() == [-1] * 6 + [64] * 2
    assert points.high.tolist() == [64] * 6 + [math.inf] * 2
    assert points.reach.tolist() == [64] * 6 + [128] * 2


@pytest.mark.parametrize(
    'width, level', [(60, 0), (180, 1), (400, 2), (600, 3)]
)
def test_the_extent_of_the_2d_box_chooses_the_level(
    width: float, level: int
) -> None:
    shapes = [(48 >> i, 160 >> i) for i in range(4)]
    points = make_points(shapes, (4, 8, 16, 32), torch.zeros(1))
    half = width / 2
    # Seen at (300, 100) in the middle of its 2D box.
    gt = _objects((0.0, 20.0, 2, (300 - half, 90.0, 300 + half, 110.0)))
    positive = assign_points(points, gt, CAMERA) == 0
    assert set(points.stride[positive].tolist()) == {4 << level}
    away = (points.xy[positive] - torch.tensor([300.0, 100.0])).abs()
    assert away.max() < 1.5 * (4 << level)
    # Chebyshev: a full square of 3 x 3 cells, more or less one row.
    assert 4 <= positive.sum() <= 9


def test_the_nearest_center_wins_not_the_smallest_box() -> None:
    points = Points(
        torch.tensor([[302.0, 102.0], [306.0, 102.0]]),
        *(torch.full((2,), value) for value in (4.0, -1.0, 64.0)),
    )
    # Seen at (300, 100) and at (308, 100); the first box is the larger one.
    gt = _objects(
        (0.0, 20.0, 2, (270.0, 80.0, 330.0, 130.0)),
        (0.4, 20.0, 0, (300.0, 90.0, 316.0, 110.0)),
    )
    assert assign_points(points, gt, CAMERA).tolist() == [0, 1]
    assert assign_points(points, gt[:0], CAMERA).tolist() == [-1, -1]


def test_targets_of_one_point_by_hand() -> None:
    points = Points(
        torch.tensor([[304.0, 98.0]]),
        *(torch.tensor([value]) for value in (8.0, 64.0, 128.0)),
    )
    gt = _objects((0.0, 20.0, 2, (260.0, 80.0, 340.0, 125.0)))
    target = encode_points(points, gt, torch.tensor([0]), CAMERA)
    assert target.label.tolist() == [2]
    assert target.offset[0].tolist() == pytest.approx([0.5, -0.25])
    distance = math.hypot(4, 2) / (1.414 * 1.5 * 8)
    assert target.centerness.item() == pytest.approx(math.exp(-2.5 * distance))
    assert target.depth.item() == pytest.approx(20.0)
    assert target.dim[0].tolist() == pytest.approx([4.0, 2.0, 1.6])
    assert target.alpha.item() == pytest.approx(0.0, abs=1e-6)
    assert target.box2d[0].tolist() == pytest.approx(
        [44 / 8, 18 / 8, 36 / 8, 27 / 8]
    )
    # The nearest corners are 2 m to the sides, 19.2 m away; reach 128 px.
    corner = (300 + 400 * 2 / 19.2 - 304) / 128
    assert target.keypoints[0, :, 0].max().item() == pytest.approx(corner)
    assert target.keypoint_valid.all()


def test_angles_come_back_from_half_turns() -> None:
    alpha = torch.linspace(-math.pi, math.pi, 2001)[:-1]
    direction = encode_direction(alpha)
    assert encode_direction(torch.tensor([math.pi / 2, 0.0])).tolist() == [
        0,
        1,
    ]
    for turned in (alpha, alpha + math.pi, alpha - 3 * math.pi):
        back = decode_half_turns(turned, direction)
        wrong = (back - alpha).abs()
        wrong = wrong.minimum(2 * math.pi - wrong) > 1e-4
        # Rounding may throw angles to the other side of a boundary.
        assert wrong.sum() <= 2


def test_depth_is_fused_from_both_sources() -> None:
    logits = torch.full((1, 8, 1, 1), -50.0)
    logits[0, 3:5] = 0.0
    direct = torch.full((1, 1, 1, 1), 25.0)
    halves = fuse_depth(direct, logits, torch.tensor(0.0))
    assert halves.item() == pytest.approx((25 + 35) / 2)
    mostly_direct = fuse_depth(direct, logits, torch.tensor(math.log(3)))
    assert mostly_direct.item() == pytest.approx(0.75 * 25 + 0.25 * 35)
    uniform = fuse_depth(
        direct, F.pad(logits[:, :0], (0,) * 5 + (8,)), -1e9 * torch.ones(())
    )
    assert uniform.item() == pytest.approx(35.0)
