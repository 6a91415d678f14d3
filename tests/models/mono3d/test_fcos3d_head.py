import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.fcos3d_points import assign_points
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from lvt_dense.models.mono3d import FCOS3DHead
from lvt_dense.models.mono3d.fcos3d_coder import (
    encode_points,
    find_candidates,
    make_points,
)
from lvt_dense.models.mono3d.instances import join_objects
from lvt_dense.utils.errors import UserError

SHAPES = [(48, 160), (24, 80), (12, 40), (6, 20)]
STRIDES = (4, 8, 16, 32)


def _perfect_levels(head: FCOS3DHead, samples: list) -> list:
    """Maps that say at every positive point exactly what is asked for."""
    points = make_points(SHAPES, STRIDES, torch.zeros(1))
    count = len(points.xy)
    channels = dict(
        cls=3, centerness=1, offset=2, depth=1, depth_log_weight=1, dim=3,
        angle=1, direction=2, keypoints=16, box2d=4,
    )  # fmt: skip
    flat = {
        k: torch.zeros(len(samples), count, c) for k, c in channels.items()
    }
    flat['cls'] -= 20
    flat['dim'] += 1
    flat['depth'] += 30
    for i, sample in enumerate(samples):
        gt, camera = sample.gt_instances_3d, torch.tensor(sample.cam2img)
        assigned = assign_points(points, gt, camera.float())
        at = (assigned >= 0).nonzero(as_tuple=True)[0]
        chosen = points.pick(at)
        target = encode_points(chosen, gt, assigned[at], camera.float())
        flat['cls'][i, at] = F.one_hot(target.label, 3) * 40.0 - 20
        flat['centerness'][i, at, 0] = target.centerness.clamp(
            1e-6, 1 - 1e-6
        ).logit()
        flat['offset'][i, at] = target.offset
        flat['depth'][i, at, 0] = target.depth
        flat['dim'][i, at] = target.dim / head.base_dims[target.label]
        # Any half turn will do.
        flat['angle'][i, at, 0] = target.alpha + math.pi
        flat['direction'][i, at] = F.one_hot(target.direction, 2) * 40.0 - 20
        flat['keypoints'][i, at] = target.keypoints.flatten(1)
        flat['box2d'][i, at] = target.box2d
    sizes = [h * w for h, w in SHAPES]
    parts = {k: v.split(sizes, 1) for k, v in flat.items()}
    return [
        {k: v[i].transpose(1, 2).unflatten(2, shape) for k, v in parts.items()}
        for i, shape in enumerate(SHAPES)
    ]


def test_encode_then_decode_gives_the_boxes_back(
    scene: DetDataSample, empty: DetDataSample, sort_by_depth: Callable
) -> None:
    samples = [scene, empty]
    head = FCOS3DHead(32, feat_channels=32)
    found, nothing = head.predict_by_maps(
        _perfect_levels(head, samples), [s.metainfo for s in samples], True
    )
    gt = sort_by_depth(scene.gt_instances_3d)
    found = sort_by_depth(found)
    assert len(nothing) == 0 and len(found) == len(gt) == 8
    assert found.labels_3d.tolist() == gt.labels_3d.tolist()
    error = (found.bboxes_3d - gt.bboxes_3d).abs()
    error[:, 6] = error[:, 6].minimum(2 * math.pi - error[:, 6])
    assert error.max() < 1e-3
    assert (found.bboxes - gt.bboxes).abs().max() < 1e-3


def test_perfect_maps_have_no_loss(
    scene: DetDataSample, empty: DetDataSample
) -> None:
    head = FCOS3DHead(32, feat_channels=32)
    samples = [scene, empty]
    losses = head.loss_by_maps(
        _perfect_levels(head, samples),
        [s.gt_instances_3d for s in samples],
        [s.metainfo for s in samples],
    )
    # Binary cross entropy against a soft target has an entropy to pay.
    assert losses.pop('loss_centerness') < math.log(2)
    assert max(loss.item() for loss in losses.values()) < 1e-3


@pytest.mark.parametrize(
    'name, channel, loss, expected',
    [
        ('offset', 0, 'loss_offset', 1 - 1 / 18),
        ('depth', 0, 'loss_depth', 1 / 6),
        ('dim', 1, 'loss_dim', None),
        ('box2d', 2, 'loss_box2d', 1 - 1 / 18),
        ('keypoints', 3, 'loss_keypoints', 0.2 * (1 - 1 / 18)),
        ('depth', 0, 'loss_consistency', None),
        ('depth_log_weight', 0, 'loss_depth', 1.0),
        ('angle', 0, 'loss_angle', math.sin(1) - 1 / 18),
    ],
)
def test_each_loss_counts_what_it_names(
    scene: DetDataSample, name: str, channel: Any, loss: Any, expected: Any
) -> None:
    head = FCOS3DHead(32, feat_channels=32)
    levels = _perfect_levels(head, [scene])
    for maps in levels:
        maps[name] = maps[name].clone()
        maps[name][:, channel] += 1.0
    losses = head.loss_by_maps(
        levels, [scene.gt_instances_3d], [scene.metainfo]
    )
    value = losses[loss].item()
    if expected is None:
        assert value > 0.01
    else:
        assert value == pytest.approx(expected, rel=2e-3)


def test_suppression_is_per_class_and_seen_from_above(
    scene: DetDataSample,
) -> None:
    head = FCOS3DHead(32, feat_channels=32)
    gt = scene.gt_instances_3d[[2, 2, 2, 5]]
    gt.bboxes_3d[1, 0] += 1.0
    gt.bboxes_3d[1, 1] += 5.0
    gt.labels_3d[2] = 0
    gt.scores_3d = torch.tensor([0.5, 0.9, 0.6, 0.7])
    assert head._suppress(gt).tolist() == [1, 3, 2]


def test_prediction_is_limited(scene: DetDataSample) -> None:
    head = FCOS3DHead(32, feat_channels=32, test_cfg=dict(max_per_img=3))
    levels = _perfect_levels(head, [scene])
    (found,) = head.predict_by_maps(levels, [scene.metainfo], True)
    assert len(found) == 3
    head.test_cfg = dict(score_thr=0.999)
    (found,) = head.predict_by_maps(levels, [scene.metainfo], True)
    assert len(found) < 8


def test_fresh_head() -> None:
    head = FCOS3DHead(32, feat_channels=32)
    head.init_weights()
    levels = head([torch.randn(2, 32, h, w) for h, w in SHAPES])
    probability = levels[0]['cls'].sigmoid()
    assert probability.mean().item() == pytest.approx(0.01, rel=0.2)
    for maps in levels:
        assert (maps['box2d'] > 0).float().mean() > 0.99
        # Half of 28.01 and half of the bins' mean of 35 m.
        assert maps['depth'].mean().item() == pytest.approx(31.5, abs=1.0)
        assert maps['dim'].mean().item() == pytest.approx(1.0, rel=0.1)


def test_base_sizes_are_those_of_the_classes() -> None:
    sizes = [(10.1, 3.2, 2.6), (5.0, 2.2, 1.9)]
    head = FCOS3DHead(32, 2, feat_channels=32, base_dims=sizes)
    assert torch.allclose(head.base_dims, torch.tensor(sizes))
    assert FCOS3DHead(32, feat_channels=32).base_dims.shape == (3, 3)


@pytest.mark.parametrize(
    'num_classes, sizes, message',
    [
        (2, None, "num_classes=2, but the sizes of KITTI's Pedestrian"),
        (2, [(1, 1, 1)], r'num_classes=2, but base_dims=\[\[1, 1, 1\]\]; set'),
        (1, [(1, 1)], 'num_classes=1, but base_dims'),
        (1, [(1, 0, 1)], 'num_classes=1, but base_dims'),
    ],
)
def test_base_sizes_of_other_classes(
    num_classes: int, sizes: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        FCOS3DHead(32, num_classes, feat_channels=32, base_dims=sizes)


def _random_gts(counts: list[int], seed: int) -> list[InstanceData]:
    """Objects anywhere, also beside and behind the camera, some twice."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.tensor([-20.0, 0.5, -5.0, 0.5, 0.5, 0.5, -3.0])
    span = torch.tensor([40.0, 2.0, 60.0, 4.0, 2.0, 2.0, 6.0])
    gts = []
    for count in counts:
        boxes = torch.rand(count, 7, generator=generator) * span + low
        boxes[3::4] = boxes[2::4][: len(boxes[3::4])]
        corner = torch.rand(count, 2, generator=generator) * 500 - 50
        sides = torch.rand(count, 2, generator=generator) * 400 + 1
        gts.append(
            InstanceData(
                bboxes_3d=boxes,
                bboxes=torch.cat((corner, corner + sides), 1),
                labels_3d=torch.randint(3, (count,), generator=generator),
            )
        )
    return gts


@pytest.mark.parametrize('counts', [[0, 0], [1], [5, 0, 60], [200]])
def test_candidates_are_the_points_assigned_by_image(
    scene: DetDataSample, counts: list[int]
) -> None:
    points = make_points(SHAPES, STRIDES, torch.zeros(1))
    camera = torch.tensor(scene.cam2img).float()
    for seed in range(5):
        gts = _random_gts(counts, seed)
        learned = torch.arange(sum(counts)) % 5 > 0
        expected = set()
        for i, part in enumerate(learned.split(counts)):
            assigned = assign_points(points, gts[i][part], camera)
            index = part.nonzero().flatten()
            expected |= {
                (i, point, int(index[number]))
                for point, number in enumerate(assigned.tolist())
                if number >= 0
            }
        found = find_candidates(
            points, SHAPES, STRIDES, join_objects(gts), learned,
            camera.expand(len(counts), 4, 4),
        )  # fmt: skip
        first = torch.tensor([0, *counts]).cumsum(0)
        number = found.object - first[found.image]
        rows = torch.stack((found.image, found.point, number), 1)
        rows = rows[found.is_positive].tolist()
        assert len(rows) == len(expected)
        assert set(map(tuple, rows)) == expected


@pytest.mark.parametrize('sizes', [[30, 0, 7], [0, 1, 0], [0, 0, 0]])
def test_objects_that_do_not_count_are_as_if_absent(
    scene: DetDataSample, sizes: list[int]
) -> None:
    torch.manual_seed(0)
    head = FCOS3DHead(32, feat_channels=32)
    gts = _random_gts(sizes, 1)
    counts = torch.arange(sum(sizes)) % 3 > 0
    kept = [gt[part] for gt, part in zip(gts, counts.split(sizes))]
    features = [torch.randn(3, 32, *shape) for shape in SHAPES]
    metas = [scene.metainfo] * 3
    found = []
    for arguments in ((gts, metas, counts), (kept, metas)):
        losses = head.loss_by_maps(head(features), *arguments)
        gradients = torch.autograd.grad(
            sum(losses.values()), list(head.parameters()), allow_unused=True
        )
        found.append([*losses.values(), *gradients])
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-5)
