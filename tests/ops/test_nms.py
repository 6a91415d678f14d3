"""Suppression against a plain loop."""

import plain_ops
import pytest
import torch
from torch import Tensor

from lvt_dense.ops import nms as ops


def make_boxes(n: int, size: float = 60.0, step: float = 0.0) -> Tensor:
    """Make n boxes; a step rounds the corners, so that overlaps tie."""
    corner = torch.rand(n, 2) * size
    boxes = torch.cat([corner, corner + torch.rand(n, 2) * 30 + 1], 1)
    return (boxes / step).round() * step if step else boxes


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [-0.1, 0.0, 0.3, 0.5, 1.0])
def test_nms_equals_loop(seed: int, offset: int, threshold: float) -> None:
    torch.manual_seed(seed)
    boxes = make_boxes(40, step=[0.0, 5.0][seed % 2])
    scores = torch.rand(40)
    if seed % 3 == 0:
        scores = (scores * 8).round() / 8
    found = ops.nms(boxes, scores, threshold, offset)
    assert found.dtype == torch.long
    assert found.tolist() == plain_ops.nms(boxes, scores, threshold, offset)


@pytest.mark.parametrize('seed', range(3))
def test_blocks_equal_pairs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(seed)
    boxes, scores = make_boxes(300, size=200), torch.rand(300)
    monkeypatch.setattr(ops, '_CHUNK', 100)
    by_pairs = ops.nms(boxes, scores, 0.4, 0)
    monkeypatch.setattr(ops, '_BLOCK', 7)
    monkeypatch.setattr(ops, '_MAX_PAIRS', 0)
    by_blocks = ops.nms(boxes, scores, 0.4, 0)
    assert by_pairs.tolist() == by_blocks.tolist()
    assert by_pairs.tolist() == plain_ops.nms(boxes, scores, 0.4, 0)


def test_nms_of_nothing() -> None:
    found = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, 0)
    assert found.shape == (0,)
    assert found.dtype == torch.long


def test_nms_of_boxes_without_area() -> None:
    point = torch.tensor([[5.0, 5, 5, 5]] * 3)
    assert ops.nms(point, torch.tensor([0.1, 0.3, 0.2]), 0.5, 0).tolist() == [
        1,
        2,
        0,
    ]
    assert ops.nms(point, torch.tensor([0.1, 0.3, 0.2]), 0.5, 1).tolist() == [
        1
    ]


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
def test_nms_of_other_precisions(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    boxes, scores = make_boxes(30, step=1.0), torch.rand(30)
    found = ops.nms(boxes.to(dtype), scores, 0.5, 0)
    assert found.tolist() == ops.nms(boxes, scores, 0.5, 0).tolist()
