"""Supernets of detectors and classifiers."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from supernet.distill import measure_distance
from supernet.model import Supernet
from supernet.optim_wrapper import ConflictAwareOptimWrapper
from supernet.tests.small import SPACE
from torch import nn

from lvt_dense.config import load_config
from lvt_dense.utils.errors import UserError

CONFIGS = Path(__file__).parents[1] / 'configs'


def make_samples() -> list[DetDataSample]:
    samples = []
    shape = (96, 96)
    for _ in range(2):
        sample = DetDataSample()
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[10.0, 20.0, 70.0, 80.0]]),
            labels=torch.tensor([1]),
        )
        sample.set_metainfo(
            dict(
                img_shape=shape,
                ori_shape=shape,
                batch_input_shape=shape,
                scale_factor=(1.0, 1.0),
            )
        )
        samples.append(sample)
    return samples


@pytest.fixture(scope='module')
def detector() -> Supernet:
    cfg = load_config(CONFIGS / 'ssdlite_demo.py')
    module = cfg.model.module
    module.neck.in_channels = (72, 168)
    module.bbox_head.in_channels = (72, 168, 256, 128, 128, 64)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return Supernet(module, SPACE)


def test_detector_takes_a_step(detector: Supernet) -> None:
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
    images = [torch.zeros(3, 96, 96, dtype=torch.uint8) for _ in range(2)]
    batch = dict(inputs=images, data_samples=make_samples())
    before = detector.network.bbox_head.predictors[0].pointwise.weight.clone()
    wrapper = ConflictAwareOptimWrapper(optimizer)
    logs = detector.train().train_step(batch, wrapper)
    assert {'loss_cls', 'loss_bbox', 'distance'} <= set(logs)
    assert logs['distance'] > 0
    after = detector.network.bbox_head.predictors[0].pointwise.weight
    assert not torch.equal(before, after)


def test_detector_of_a_subnetwork_predicts(detector: Supernet) -> None:
    model = detector.extract(detector.space.smallest)
    assert model.neck.strided[0].depthwise.conv.weight.shape[0] == 160
    images = [torch.zeros(3, 96, 96, dtype=torch.uint8)]
    batch = dict(inputs=images, data_samples=make_samples()[:1])
    with torch.no_grad():
        (sample,) = model.val_step(batch)
    assert len(sample.pred_instances) > 0


@pytest.mark.parametrize('is_sigmoid', [True, False])
def test_distance_of_anchors(is_sigmoid: bool) -> None:
    loss = dict(type='FocalLoss', use_sigmoid=True) if is_sigmoid else {}
    loss = loss or dict(type='CrossEntropyLoss', use_sigmoid=False)
    cfg = dict(
        type='AnchorHead',
        num_classes=3,
        in_channels=4,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[8]
        ),
        loss_cls=loss,
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = nn.ModuleDict(dict(bbox_head=MODELS.build(cfg)))
    classes = 3 if is_sigmoid else 4
    teacher = dict(
        bbox_head=(
            [torch.randn(2, classes, 2, 3)],
            [torch.randn(2, 4, 2, 3)],
        )
    )
    same = measure_distance(model, teacher, teacher, [])
    assert same.value.abs() < 1e-5
    student = dict(
        bbox_head=tuple(
            [level.clone().requires_grad_() for level in levels]
            for levels in teacher['bbox_head']
        )
    )
    with torch.no_grad():
        student['bbox_head'][1][0][0, 0, 0, 0] += 2  # one box moves
    moved = measure_distance(model, student, teacher, [])
    scores = teacher['bbox_head'][0][0]
    weight = (
        scores.sigmoid().amax(1)
        if is_sigmoid
        else 1 - scores.softmax(1)[:, -1]
    )
    expected = 1.5 * weight[0, 0, 0] / weight.sum().clamp(min=1)
    assert moved.value.item() == pytest.approx(expected.item(), abs=1e-4)
    moved.loss.backward()
    assert student['bbox_head'][0][0].grad.abs().max() < 1e-4
    assert student['bbox_head'][1][0].grad[0, 0, 0, 0] > 0


def test_head_of_unknown_kind_is_named() -> None:
    class Head(nn.Module):
        def loss_by_feat(self) -> dict:
            return {}

    model = nn.ModuleDict(dict(head=Head()))
    outputs = dict(head=(torch.zeros(1),))
    with pytest.raises(UserError, match='head is a Head'):
        measure_distance(model, outputs, outputs, [])
    with pytest.raises(UserError, match='no head of Linear'):
        measure_distance(nn.Linear(1, 1), {}, {}, [])
