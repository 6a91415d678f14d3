"""SSDLite: sizes, anchors, losses without objects, any input size."""

import math

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from lvt_dense.config import load_config
from lvt_dense.models.dense_heads.anchors import RelativeAnchorGenerator

RATIOS = ((2, 3), (2, 3), (2, 3), (2, 3), (2, 3), (2,))
MAPS_320 = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]


def build(name: str) -> nn.Module:
    init_default_scope('mmdet')
    config = load_config(f'lvt_dense::ssdlite_mobilevit{name}_320_coco.py')
    return MODELS.build(config.model)


@pytest.fixture(scope='module')
def detector() -> nn.Module:
    return build('_xxs')


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [('_xxs', 1_755_050), ('_xs', 2_742_042), ('', 5_738_826)],
)
def test_parameters_are_those_of_the_paper(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in build(name).parameters()) == parameters


def test_anchors_at_320() -> None:
    generator = RelativeAnchorGenerator(RATIOS)
    generator.input_shape = (320, 320)
    levels = generator.grid_priors(MAPS_320, device='cpu')
    assert sum(len(level) for level in levels) == 3232
    # first cell of stride 16: center (8, 8), sides 32 and sqrt(32 * 82.67)
    middle = math.sqrt(0.1 * (0.1 + 0.95 / 6)) * 320
    wide = 32 * math.sqrt(2)
    expected = [
        [8 - 16, 8 - 16, 8 + 16, 8 + 16],
        [8 - middle / 2, 8 - middle / 2, 8 + middle / 2, 8 + middle / 2],
        [8 - wide / 2, 8 - wide / 4, 8 + wide / 2, 8 + wide / 4],
    ]
    torch.testing.assert_close(
        levels[0][:3], torch.tensor(expected), atol=1e-3, rtol=0
    )
    # no anchor is wider or higher than the image
    widest = (levels[-1][:, 2:] - levels[-1][:, :2]).max()
    assert widest == 320


def test_anchors_follow_a_wide_input() -> None:
    generator = RelativeAnchorGenerator(RATIOS)
    generator.input_shape = (100, 200)
    boxes = generator.single_level_grid_priors((2, 4), 0)
    assert boxes.shape == (2 * 4 * 6, 4)
    sides = boxes[0, 2:] - boxes[0, :2]
    torch.testing.assert_close(sides, torch.tensor([20.0, 10.0]))
    center = (boxes[-6, 2:] + boxes[-6, :2]) / 2
    torch.testing.assert_close(center, torch.tensor([175.0, 75.0]))


def sample(height: int, width: int, boxes: list) -> DetDataSample:
    shape = (height, width)
    found = DetDataSample(
        metainfo=dict(
            img_shape=shape,
            ori_shape=shape,
            pad_shape=shape,
            batch_input_shape=shape,
            scale_factor=(1.0, 1.0),
        )
    )
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.arange(len(boxes))
    found.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return found


@pytest.mark.parametrize('size', [(64, 64), (97, 150)])
def test_trains_and_predicts_at_any_size(
    detector: nn.Module, size: tuple[int, int]
) -> None:
    inputs = torch.rand(2, 3, *size) * 255
    samples = [
        sample(*size, [[5, 5, 45, 40], [20, 10, 60, 60]]),
        sample(*size, []),
    ]
    detector.train()
    losses = detector.loss(inputs / 255, samples)
    total, _ = detector.parse_losses(losses)
    total.backward()
    weights = detector.bbox_head.predictors[0].pointwise.weight
    assert weights.grad.abs().sum() > 0
    detector.zero_grad()
    detector.eval()
    with torch.no_grad():
        found = detector.predict(inputs / 255, samples)[0].pred_instances
    assert 0 < len(found) <= detector.bbox_head.test_cfg.max_per_img
    height, width = size
    assert (found.bboxes[:, 2] <= width).all()
    assert (found.bboxes[:, 3] <= height).all()


def test_batch_without_objects_has_a_finite_loss(detector: nn.Module) -> None:
    detector.train()
    losses = detector.loss(torch.rand(2, 3, 64, 64), [sample(64, 64, [])] * 2)
    total, _ = detector.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    grads = [p.grad for p in detector.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in grads)
    detector.zero_grad()


def test_box_without_area_makes_the_loss_infinite(detector: nn.Module) -> None:
    """Why the recipes drop such boxes: they overlap no anchor and get one."""
    detector.train()
    for flat in ([20, 10, 20, 60], [20, 10, 50, 10]):
        truth = sample(64, 64, [[5, 5, 45, 40], flat])
        losses = detector.loss(torch.rand(2, 3, 64, 64), [truth] * 2)
        total, _ = detector.parse_losses(losses)
        assert not torch.isfinite(total)


def test_perfect_deltas_give_the_box_back(detector: nn.Module) -> None:
    head = detector.bbox_head
    meta = sample(320, 320, []).metainfo
    head.prior_generator.input_shape = (320, 320)
    anchors = head.prior_generator.grid_priors(MAPS_320, device='cpu')
    box = torch.tensor([[100.0, 90.0, 180.0, 200.0]])
    scores = [
        torch.zeros(1, a * 81, h, w)
        for a, (h, w) in zip(head.num_base_priors, MAPS_320)
    ]
    deltas = [
        torch.zeros(1, a * 4, h, w)
        for a, (h, w) in zip(head.num_base_priors, MAPS_320)
    ]
    for score in scores:
        score.unflatten(1, (-1, 81))[:, :, 80] = 20.0
    level, cell, anchor, label = 2, (2, 3), 4, 17
    index = (cell[0] * 5 + cell[1]) * 6 + anchor
    delta = head.bbox_coder.encode(anchors[level][index : index + 1], box)
    row, column = cell
    deltas[level].unflatten(1, (-1, 4))[0, anchor, :, row, column] = delta[0]
    scores[level].unflatten(1, (-1, 81))[0, anchor, label, row, column] = 40.0
    found = head.predict_by_feat(scores, deltas, batch_img_metas=[meta])[0]
    assert found.labels.tolist() == [label]
    torch.testing.assert_close(found.bboxes, box, atol=1e-2, rtol=0)
