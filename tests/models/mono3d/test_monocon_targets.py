from typing import Any

import torch
from mmdet.models.utils.gaussian_target import gen_gaussian_target
from mmdet.structures import DetDataSample

from lvt_dense.models.mono3d.monocon_targets import (
    build_targets,
    draw_gaussians,
)

MAP = (48, 160)


def _targets(samples: list) -> Any:
    cameras = [torch.tensor(s.cam2img).float() for s in samples]
    gts = [s.gt_instances_3d for s in samples]
    return build_targets(gts, torch.stack(cameras), MAP, 4, 3)


def test_gaussians_are_those_of_mmdet() -> None:
    torch.manual_seed(0)
    count = 40
    image = torch.randint(0, 2, (count,))
    channel = torch.randint(0, 3, (count,))
    cell = torch.stack(
        (torch.randint(0, 31, (count,)), torch.randint(0, 17, (count,))), 1
    )
    radius = torch.randint(0, 9, (count,))
    maps = draw_gaussians((2, 17, 31), 3, image, channel, cell, radius.float())
    expected = torch.zeros(2, 3, 17, 31)
    for i, c, xy, r in zip(image, channel, cell, radius):
        gen_gaussian_target(expected[i, c], xy.tolist(), r.item())
    assert torch.allclose(maps, expected, atol=1e-6)
    assert (maps == 1).sum() == (expected == 1).sum()


def test_rows_of_a_batch_name_their_image(
    scene: DetDataSample, empty: DetDataSample
) -> None:
    targets = _targets([empty, scene, scene])
    count = len(scene.gt_instances_3d)
    assert targets.image.tolist() == [1] * count + [2] * count
    assert targets.objects.dim.shape == (2 * count, 3)
    assert not targets.heatmap[0].any()
    assert torch.equal(targets.heatmap[1], targets.heatmap[2])
    cell = targets.objects.cell[:count]
    labels = scene.gt_instances_3d.labels_3d
    peaks = targets.heatmap[1, labels, cell[:, 1], cell[:, 0]]
    assert (peaks == 1).all()
    assert (targets.heatmap[1] == 1).sum() == count


def test_keypoints_inside_the_map_have_peaks_and_offsets(
    scene: DetDataSample,
) -> None:
    targets = _targets([scene])
    objects = targets.objects
    points = (objects.keypoints + objects.cell[:, None]).reshape(-1, 2)
    inside = (points >= 0).all(1) & (points[:, 0] < 160) & (points[:, 1] < 48)
    assert 0 < inside.sum() < len(points)
    found = targets.keypoint_cell + targets.keypoint_offset
    assert torch.allclose(found, points[inside])
    kinds = torch.arange(9).repeat(len(objects.cell))[inside]
    x, y = targets.keypoint_cell.unbind(1)
    assert (targets.keypoint_heatmap[0, kinds, y, x] == 1).all()


def test_without_any_object(empty: DetDataSample) -> None:
    targets = _targets([empty, empty])
    assert targets.heatmap.shape == (2, 3, *MAP)
    assert targets.keypoint_heatmap.shape == (2, 9, *MAP)
    assert not targets.heatmap.any() and not targets.keypoint_heatmap.any()
    assert len(targets.image) == len(targets.keypoint_image) == 0
