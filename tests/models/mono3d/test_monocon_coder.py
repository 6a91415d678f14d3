import math

import pytest
import torch
from mmdet.structures import DetDataSample

from lvt_dense.models.mono3d.monocon_coder import (
    decode_alpha_bins,
    encode_alpha,
    encode_objects,
)


@pytest.mark.parametrize(
    'degrees, bin_index, residual',
    [
        (0, 0, 0),
        (14, 0, 14),
        (16, 1, -14),
        (-14, 0, -14),
        (-16, 11, 14),
        (180, 6, 0),
        (-180, 6, 0),
        (90, 3, 0),
        (-100, 9, -10),
    ],
)
def test_bins_are_centered_at_multiples_of_30_degrees(
    degrees: float, bin_index: int, residual: float
) -> None:
    bins, residuals = encode_alpha(torch.tensor([math.radians(degrees)]))
    assert bins.item() == bin_index
    assert math.degrees(residuals.item()) == pytest.approx(residual, abs=1e-4)


def test_angles_come_back() -> None:
    alpha = torch.linspace(-math.pi, math.pi, 2001)[:-1]
    alpha = torch.cat((alpha, torch.tensor([-math.pi / 12 - 1e-9])))
    bins, residuals = encode_alpha(alpha)
    assert bins.min() == 0 and bins.max() == 11
    assert residuals.abs().max() <= math.pi / 12 + 1e-5
    logits = torch.nn.functional.one_hot(bins, 12).float()
    spread = torch.full((len(alpha), 12), 9.0)
    spread[logits.bool()] = residuals
    back = decode_alpha_bins(logits, spread)
    assert torch.allclose(back.cos(), alpha.cos(), atol=1e-5)
    assert torch.allclose(back.sin(), alpha.sin(), atol=1e-5)


def test_one_car_by_hand(scene: DetDataSample) -> None:
    """A car 20 m ahead, facing right, seen by a camera without offsets."""
    camera = torch.tensor(
        [[400.0, 0, 300, 0], [0, 400, 100, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    gt = scene.gt_instances_3d[:1]
    gt.bboxes_3d = torch.tensor([[2.0, 1.5, 20.0, 4.0, 1.5, 1.6, 0.0]])
    gt.bboxes = torch.tensor([[300.0, 99.0, 383.0, 131.0]])
    target = encode_objects(gt, camera, stride=4)
    # Center of the 2D box at (341.5, 115) px.
    assert target.cell.tolist() == [[85, 28]]
    assert target.offset[0].tolist() == pytest.approx([0.375, 0.75])
    assert target.wh[0].tolist() == pytest.approx([83 / 4, 8.0])
    assert target.dim[0].tolist() == pytest.approx([4.0, 1.5, 1.6])
    assert target.depth.item() == pytest.approx(20.0)
    # Center of the volume at (2, 0.75, 20): (340, 115) px, (85, 28.75) cells.
    center = target.keypoints[0, 8].tolist()
    assert center == pytest.approx([0.0, 0.75], abs=1e-5)
    # The nearest corners are 19.2 m away and 2 m to either side of it.
    near = (300 + 400 * 4 / 19.2) / 4 - 85
    assert target.keypoints[0, :, 0].max().item() == pytest.approx(near)
    assert target.keypoint_valid.all()
    # alpha = -atan(2 / 20) = -5.7 degrees.
    assert target.angle_bin.item() == 0
    assert target.angle_residual.item() == pytest.approx(-math.atan(0.1))


def test_keypoints_behind_the_camera_are_not_valid(
    scene: DetDataSample,
) -> None:
    gt = scene.gt_instances_3d[:1]
    gt.bboxes_3d = torch.tensor([[2.5, 1.6, 1.0, 4.0, 1.5, 1.6, math.pi / 2]])
    target = encode_objects(gt, torch.tensor(scene.cam2img).float(), stride=4)
    assert target.keypoint_valid.sum() == 5
    assert target.keypoint_valid[0, 8]
