import copy
from typing import Any

import torch
from mmdet.models.utils.gaussian_target import (
    gaussian_radius,
    gen_gaussian_target,
)
from mmdet.structures import DetDataSample

from lvt_dense.models.mono3d import MonoConHead
from lvt_dense.models.mono3d.monocon_targets import (
    build_targets,
    draw_gaussians,
    gaussian_radii,
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
    assert torch.equal(targets.keypoint_counts, inside)
    assert torch.allclose(found[inside], points[inside])
    kinds = torch.arange(9).repeat(len(objects.cell))[inside]
    x, y = targets.keypoint_cell[inside].unbind(1)
    assert (targets.keypoint_heatmap[0, kinds, y, x] == 1).all()


def test_radii_are_those_of_mmdet() -> None:
    torch.manual_seed(0)
    wh = torch.rand(300, 2) * torch.tensor([80.0, 40.0]) + 0.1
    wh[0] = 0.0
    expected = [
        max(0, int(gaussian_radius((h, w), 0.3))) for w, h in wh.tolist()
    ]
    assert gaussian_radii(wh).tolist() == expected


def test_objects_that_do_not_count_are_as_if_absent(
    scene: DetDataSample, empty: DetDataSample
) -> None:
    camera = torch.tensor(scene.cam2img).float().expand(3, 4, 4)
    gt = scene.gt_instances_3d
    counts = torch.arange(2 * len(gt)) % 3 > 0
    kept = [gt[counts[: len(gt)]], gt[:0], gt[counts[len(gt) :]]]
    # Some of them lie far outside of the map.
    outside = copy.deepcopy(gt)
    outside.bboxes[~counts[: len(gt)]] += 5000.0
    given = build_targets([outside, gt[:0], gt], camera, MAP, 4, 3, counts)
    expected = build_targets(kept, camera, MAP, 4, 3)
    assert torch.equal(given.heatmap, expected.heatmap)
    assert torch.equal(given.keypoint_heatmap, expected.keypoint_heatmap)
    torch.manual_seed(0)
    head = MonoConHead(8)
    names = ('wh', 'offset', 'keypoints', 'keypoint_offset', 'dim', 'depth')
    sizes = (2, 2, 18, 2, 3, 2)
    maps = {n: torch.randn(3, c, *MAP) for n, c in zip(names, sizes)}
    maps['angle'] = torch.randn(3, 24, *MAP)
    maps['heatmap'] = torch.rand(3, 3, *MAP) * 0.98 + 0.01
    maps['keypoint_heatmap'] = torch.rand(3, 9, *MAP) * 0.98 + 0.01
    for value in maps.values():
        value.requires_grad_()
    found = []
    for targets in (given, expected):
        losses = head.loss_by_maps(maps, targets)
        gradients = torch.autograd.grad(
            sum(losses.values()), list(maps.values())
        )
        found.append([*losses.values(), *gradients])
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-6)


def test_without_any_object(empty: DetDataSample) -> None:
    targets = _targets([empty, empty])
    assert targets.heatmap.shape == (2, 3, *MAP)
    assert targets.keypoint_heatmap.shape == (2, 9, *MAP)
    assert not targets.heatmap.any() and not targets.keypoint_heatmap.any()
    assert len(targets.image) == len(targets.keypoint_image) == 0
