"""The pure operators against the compiled ones, on random cases.

Where mmcv has no form for the CPU (focal losses, RoIPool, masked convolution,
CARAFE, multi-scale deformable attention), there is nothing to compare with
here; plain loops stand in, in the other tests of this folder.
"""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from helpers.gradients import with_gradients
from helpers.op_cases import (
    assert_near,
    make_boxes,
    make_layer,
    make_regions,
    pick,
)
from mmcv import ops
from torch import Tensor

pytestmark = pytest.mark.compiled_ops

CASES = 1000


@pytest.fixture(params=range(4))
def cases(request: pytest.FixtureRequest) -> Iterator[int]:
    """Yield a quarter of the cases, each with a seed of its own."""

    def seeds() -> Iterator[int]:
        share = CASES // 4
        for seed in range(request.param * share, (request.param + 1) * share):
            torch.manual_seed(seed)
            yield seed

    return seeds()


def test_nms(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        boxes, scores = make_boxes()
        threshold = float(pick(0, 0.25, 0.5, 1, float(torch.rand(()))))
        settings = threshold, pick(0, 1), pick(0, 0.25), pick(-1, 5)
        pure, compiled = on_both(ops.nms, boxes, scores, *settings)
        assert pure[1].tolist() == compiled[1].tolist(), seed
        assert torch.equal(pure[0], compiled[0]), seed


def test_batched_nms(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        boxes, scores = make_boxes()
        if not len(boxes):
            continue
        labels = torch.randint(int(pick(1, 3, 80)), (len(boxes),))
        cfg = dict(type=pick('nms', 'soft_nms'), iou_threshold=pick(0.3, 0.5))
        pure, compiled = on_both(ops.batched_nms, boxes, scores, labels, cfg)
        assert pure[1].tolist() == compiled[1].tolist(), seed
        assert_near(pure[0], compiled[0], seed)


def test_soft_nms(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        boxes, scores = make_boxes()
        settings = (
            float(torch.rand(())),
            0.5,
            pick(1e-3, 0.2, 0.5),
            pick('naive', 'linear', 'gaussian'),
            pick(0, 1),
        )
        pure, compiled = on_both(ops.soft_nms, boxes, scores, *settings)
        assert pure[1].tolist() == compiled[1].tolist(), seed
        assert_near(pure[0], compiled[0], seed)


def test_nms_match(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        boxes, scores = make_boxes()
        dets = torch.cat([boxes, scores[:, None]], 1)
        threshold = float(pick(0, 0.5, float(torch.rand(()))))
        pure, compiled = on_both(ops.nms_match, dets, threshold)
        assert [group.tolist() for group in pure] == [
            group.tolist() for group in compiled
        ], seed


def make_rotated(seed: int) -> Tensor:
    """Make rotated boxes: at random, on a grid, equal ones, no area."""
    n = int(pick(0, 1, 12, 25))
    span = torch.tensor([60, 60, 40, 40, 2 * math.pi])
    boxes = torch.rand(n, 5) * span
    boxes[:, 2:4] += float(pick(0, 2))
    boxes[:, 4] -= math.pi
    if pick(True, False):
        boxes[:, :4] = boxes[:, :4].round()
        boxes[:, 4] = (boxes[:, 4] * 4 / math.pi).round() * math.pi / 4
    if n and pick(True, False):
        boxes = boxes[torch.randint(n, (n,))]
    return boxes


def test_box_iou_rotated(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        a, b = make_rotated(seed), make_rotated(seed)
        aligned = len(a) == len(b) and pick(True, False)
        settings = pick('iou', 'iof'), aligned, pick(True, False)
        pure, compiled = on_both(ops.box_iou_rotated, a, b, *settings)
        assert_near(pure, compiled, seed)


def test_nms_rotated(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        boxes = make_rotated(seed)
        scores = (torch.rand(len(boxes)) * 20).round() / 20
        labels = torch.randint(3, (len(boxes),)).float()
        settings = (
            float(pick(0, 0.5, float(torch.rand(())))),
            pick(None, labels),
            pick(True, False),
        )
        pure, compiled = on_both(ops.nms_rotated, boxes, scores, *settings)
        assert torch.equal(pure[0], compiled[0]), seed
        if len(boxes):
            assert pure[1].tolist() == compiled[1].tolist(), seed


def test_bbox_overlaps(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        a, b = make_boxes()[0], make_boxes()[0]
        aligned = len(a) == len(b) and pick(True, False)
        settings = pick('iou', 'iof'), aligned, pick(0, 1)
        pure, compiled = on_both(ops.bbox_overlaps, a, b, *settings)
        assert_near(pure, compiled, seed)


def test_roi_align(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        maps, *settings = make_regions()
        both = on_both(with_gradients, ops.roi_align, [maps], *settings)
        for pure, compiled in zip(*both):
            assert_near(pure, compiled, seed)


def test_deform_conv(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        (x, offset, _, weight, _), settings = make_layer()
        leaves = [x, offset, weight]
        both = on_both(with_gradients, ops.deform_conv2d, leaves, *settings)
        for pure, compiled in zip(*both):
            assert_near(pure, compiled, seed)


def test_modulated_deform_conv(
    cases: Iterator[int], on_both: Callable
) -> None:
    for seed in cases:
        leaves, settings = make_layer()
        both = on_both(
            with_gradients, ops.modulated_deform_conv2d, leaves, *settings
        )
        for pure, compiled in zip(*both):
            assert_near(pure, compiled, seed)


def test_psa_mask(cases: Iterator[int], on_both: Callable) -> None:
    for seed in cases:
        size = int(pick(1, 3)), int(pick(1, 3))
        height, width = int(pick(1, 2, 3)), int(pick(1, 2, 3))
        masks = torch.randn(1, size[0] * size[1], height, width)
        layer = ops.PSAMask(pick('collect', 'distribute'), size)
        both = on_both(with_gradients, layer, [masks.requires_grad_()])
        for pure, compiled in zip(*both):
            assert_near(pure, compiled, seed)
