import math
from collections.abc import Callable

import pytest
import torch
from mmdet.structures import DetDataSample

from lvt_dense.models.mono3d import MonoConHead


def test_encode_then_decode_gives_the_boxes_back(
    scene: DetDataSample,
    empty: DetDataSample,
    sort_by_depth: Callable,
    perfect_monocon_maps: Callable,
) -> None:
    samples = [scene, empty]
    maps, _ = perfect_monocon_maps(samples)
    head = MonoConHead(8, test_cfg=dict(topk=30, score_thr=0.9))
    found, nothing = head.predict_by_maps(
        maps, [s.metainfo for s in samples], rescale=True
    )
    gt = sort_by_depth(scene.gt_instances_3d)
    found = sort_by_depth(found)
    assert len(nothing) == 0 and len(found) == len(gt) == 8
    assert found.labels_3d.tolist() == gt.labels_3d.tolist()
    error = (found.bboxes_3d - gt.bboxes_3d).abs()
    error[:, 6] = error[:, 6].minimum(2 * math.pi - error[:, 6])
    assert error.max() < 1e-3
    assert (found.bboxes - gt.bboxes).abs().max() < 1e-3
    turned = (found.alphas - gt.alphas).abs()
    assert turned.minimum(2 * math.pi - turned).max() < 1e-3


def test_perfect_maps_have_no_loss(
    scene: DetDataSample, empty: DetDataSample, perfect_monocon_maps: Callable
) -> None:
    maps, targets = perfect_monocon_maps([scene, empty])
    losses = MonoConHead(8).loss_by_maps(maps, targets)
    heatmaps = {k: losses.pop(k).item() for k in list(losses) if 'heat' in k}
    # Keypoints that share a cell share an offset, too.
    assert losses.pop('loss_keypoint_offset') < 0.05
    assert max(v.item() for v in losses.values()) < 1e-5
    # What is left of the focal loss is the foot of the Gaussians.
    worse = MonoConHead(8).loss_by_maps(
        {**maps, 'heatmap': maps['heatmap'].roll(3, -1)}, targets
    )
    assert worse['loss_heatmap'] > 3 * heatmaps['loss_heatmap']


def test_each_loss_counts_what_it_names(
    scene: DetDataSample, perfect_monocon_maps: Callable
) -> None:
    head = MonoConHead(8)
    maps, targets = perfect_monocon_maps([scene])
    for name, channels, loss, expected in (
        ('wh', slice(None), 'loss_wh', 0.1 * 2.0),
        ('offset', slice(None), 'loss_offset', 2.0),
        ('keypoints', slice(None), 'loss_keypoints', 2.0),
        ('keypoint_offset', slice(None), 'loss_keypoint_offset', 2.0),
        ('dim', slice(None), 'loss_dim', 2.0),
        ('depth', slice(0, 1), 'loss_depth', 2.0 * math.sqrt(2)),
        ('angle', slice(12, None), 'loss_angle_residual', 2.0),
    ):
        wrong = maps[name].clone()
        wrong[:, channels] += 2.0
        losses = head.loss_by_maps({**maps, name: wrong}, targets)
        assert losses[loss].item() == pytest.approx(expected, rel=2e-3)


def test_distant_scores_are_lower_when_depth_is_uncertain(
    scene: DetDataSample, perfect_monocon_maps: Callable
) -> None:
    maps, _ = perfect_monocon_maps([scene])
    maps['depth'][:, 1] = math.log(4)
    head = MonoConHead(8, test_cfg=dict(score_thr=0.2))
    (found,) = head.predict_by_maps(maps, [scene.metainfo], rescale=True)
    assert len(found) == 8
    assert found.scores_3d.tolist() == pytest.approx([0.25] * 8, abs=1e-3)


def test_2d_boxes_go_back_to_the_original_image(
    scene: DetDataSample, perfect_monocon_maps: Callable
) -> None:
    maps, _ = perfect_monocon_maps([scene])
    meta = {
        **scene.metainfo,
        'scale_factor': (0.5, 0.25),
        'ori_shape': (768, 1280),
    }
    head = MonoConHead(8, test_cfg=dict(score_thr=0.9))
    (here,) = head.predict_by_maps(maps, [meta], rescale=False)
    (there,) = head.predict_by_maps(maps, [meta], rescale=True)
    factor = torch.tensor([2.0, 4.0, 2.0, 4.0])
    expected = (here.bboxes + 0.5) * factor - 0.5
    # At the edges the original image may show more.
    inside = (here.bboxes > 0) & (here.bboxes < torch.tensor([639, 191] * 2))
    assert inside.sum() > 20
    assert torch.allclose(there.bboxes[inside], expected[inside])
    assert (there.bboxes - expected).abs().max() <= 1.5
    assert torch.equal(there.bboxes_3d, here.bboxes_3d)


def test_fresh_head() -> None:
    head = MonoConHead(8)
    head.init_weights()
    head.eval()
    maps = head((torch.randn(2, 8, 12, 20),))
    assert set(maps) == {
        'heatmap', 'wh', 'offset', 'keypoints', 'dim', 'depth', 'angle'
    }  # fmt: skip
    assert maps['depth'][:, 0].sub(1).abs().max() < 0.1
    assert maps['dim'].abs().max() < 0.1
    assert head.branches['heatmap'][-1].bias.tolist() == pytest.approx(
        [-math.log(9)] * 3
    )
    auxiliary = head((torch.randn(2, 8, 12, 20),), auxiliary=True)
    extra = {k: auxiliary[k].size(1) for k in set(auxiliary) - set(maps)}
    assert extra == dict(keypoint_heatmap=9, keypoint_offset=2)
