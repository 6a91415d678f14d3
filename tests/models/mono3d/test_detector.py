from collections.abc import Callable

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import nn

HEADS = dict(
    fcos3d=dict(
        neck=dict(
            type='mmdet.FPN',
            in_channels=[8, 12, 16, 24],
            out_channels=32,
            num_outs=4,
        ),
        bbox_head=dict(
            type='lvt_dense.FCOS3DHead', in_channels=32, feat_channels=32
        ),
    ),
    monocon=dict(
        neck=dict(type='lvt_dense.DLAUp', in_channels=[8, 12, 16, 24]),
        bbox_head=dict(
            type='lvt_dense.MonoConHead', in_channels=8, feat_channels=16
        ),
    ),
)


def _build(pyramid: str, head: str) -> nn.Module:
    torch.manual_seed(0)
    detector = MODELS.build(
        dict(
            type='lvt_dense.Mono3DDetector',
            backbone=dict(type=pyramid),
            data_preprocessor=dict(type='mmdet.DetDataPreprocessor'),
            **HEADS[head],
        )
    )
    detector.init_weights()
    return detector


@pytest.fixture(params=sorted(HEADS))
def detector(request: pytest.FixtureRequest, stub_pyramid: str) -> nn.Module:
    return _build(stub_pyramid, request.param)


@pytest.mark.parametrize('names', ['full', 'empty', 'mixed', 'one'])
def test_losses_are_finite_and_reach_every_weight(
    detector: nn.Module, scene: DetDataSample, empty: DetDataSample, names: str
) -> None:
    samples = dict(
        full=[scene, scene],
        empty=[empty, empty],
        mixed=[empty, scene],
        one=[empty],
    )[names]
    images = torch.randn(len(samples), 3, *scene.img_shape)
    losses = detector(images, samples, mode='loss')
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    for name, weight in detector.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    classes = 'loss_heatmap' if 'loss_heatmap' in losses else 'loss_cls'
    assert losses[classes] > 0


def test_prediction_has_the_fields_of_the_convention(
    detector: nn.Module, scene: DetDataSample, empty: DetDataSample
) -> None:
    detector.eval()
    with torch.no_grad():
        samples = detector(
            torch.randn(2, 3, *scene.img_shape), [scene, empty], mode='predict'
        )
    for sample in samples:
        found = sample.pred_instances_3d
        count = len(found)
        assert found.bboxes_3d.shape == (count, 7)
        assert found.bboxes.shape == (count, 4)
        assert found.alphas.shape == found.scores_3d.shape == (count,)
        assert found.labels_3d.dtype == torch.long
        assert (found.bboxes_3d[:, 3:6] > 0).all()
        assert (found.bboxes[:, 2:] >= found.bboxes[:, :2]).all()
        assert (found.scores_3d.diff() <= 0).all()
        # What only knows 2D detectors finds the 2D part.
        plain = sample.pred_instances
        assert torch.equal(plain.bboxes, found.bboxes)
        assert torch.equal(plain.scores, found.scores_3d)
        assert torch.equal(plain.labels, found.labels_3d)


def _halve(sample: DetDataSample) -> DetDataSample:
    """The same scene at half the resolution."""
    gt = sample.gt_instances_3d
    gt.bboxes = gt.bboxes / 2
    camera = sample.cam2img.copy()
    camera[:2] /= 2
    shape = tuple(side // 2 for side in sample.img_shape)
    sample.set_metainfo(dict(cam2img=camera, img_shape=shape))
    return sample


def test_learns_one_scene(
    request: pytest.FixtureRequest,
    detector: nn.Module,
    scene: DetDataSample,
    sort_by_depth: Callable,
) -> None:
    """Every object is found about where it stands; at first, 1 m away."""
    torch.manual_seed(1)
    scene.gt_instances_3d = scene.gt_instances_3d[:4]
    scene = _halve(scene)
    detector.bbox_head.train_cfg = dict(min_height=5)
    images = torch.randn(1, 3, *scene.img_shape).repeat(2, 1, 1, 1)
    optimizer = torch.optim.Adam(detector.parameters())
    steps = 100 if 'monocon' in request.node.name else 60
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, steps)
    for _ in range(steps):
        losses = detector(images, [scene, scene], mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
    detector.eval()
    with torch.no_grad():
        (sample,) = detector(images[:1], [scene], mode='predict')
    found = sort_by_depth(sample.pred_instances_3d[:4])
    gt = sort_by_depth(scene.gt_instances_3d)
    assert found.labels_3d.tolist() == gt.labels_3d.tolist()
    error = (found.bboxes_3d - gt.bboxes_3d).abs()
    assert error[:, :3].max() < 4.0
    assert error[:, 3:6].max() < 0.7
