"""torchvision's kernels against the pure operators, on random cases.

On a CPU, where they run too, though lvt_dense uses them on GPUs only.
"""

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

from lvt_dense.ops import kernels
from lvt_dense.ops.roi_align import roi_align_forward

CASES = 1000
pytestmark = pytest.mark.skipif(
    not kernels.torchvision_loads(), reason='torchvision does not load here'
)


@pytest.fixture
def on_both_kinds(
    pure_ops: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple]:
    """Call a function with the pure operators and with the kernels."""

    def call(function: Callable, *args: object) -> tuple:
        pure = function(*args)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, 'DEVICES', ('cpu',))
            return pure, function(*args)

    return call


def seeds() -> Iterator[int]:
    for seed in range(CASES):
        torch.manual_seed(seed)
        yield seed


def test_nms(on_both_kinds: Callable) -> None:
    for seed in seeds():
        boxes, scores = make_boxes()
        # On a CPU, the kernel's threshold has 64 bits, on a GPU 32 as ours.
        share = float(torch.rand(()))
        settings = (
            float(pick(0, 0.25, 0.5, 1, share)),
            pick(0, 1),
            pick(0, 0.2),
        )
        pure, found = on_both_kinds(ops.nms, boxes, scores, *settings)
        assert pure[1].tolist() == found[1].tolist(), seed
        assert torch.equal(pure[0], found[0]), seed


def test_batched_nms(on_both_kinds: Callable) -> None:
    for seed in seeds():
        boxes, scores = make_boxes()
        if not len(boxes):
            continue
        labels = torch.randint(int(pick(1, 3, 80)), (len(boxes),))
        cfg = dict(type='nms', iou_threshold=pick(0.25, 0.5))
        pure, found = on_both_kinds(
            ops.batched_nms, boxes, scores, labels, cfg
        )
        assert pure[1].tolist() == found[1].tolist(), seed
        assert torch.equal(pure[0], found[0]), seed


def test_roi_align(on_both_kinds: Callable) -> None:
    for seed in seeds():
        maps, *settings = make_regions()
        both = on_both_kinds(with_gradients, ops.roi_align, [maps], *settings)
        for pure, found in zip(*both):
            assert_near(pure, found, seed)


@pytest.mark.parametrize('version', [1, 2])
def test_deform_conv(on_both_kinds: Callable, version: int) -> None:
    for seed in seeds():
        leaves, settings = make_layer()
        function = ops.modulated_deform_conv2d
        if version == 1:
            leaves = [leaves[0], leaves[1], leaves[3]]
            function = ops.deform_conv2d
        both = on_both_kinds(with_gradients, function, leaves, *settings)
        for pure, found in zip(*both):
            assert_near(pure, found, seed)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(on_both_kinds: Callable, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 9, 9).to(dtype)
    rois = torch.tensor([[0, 1.3, 2.1, 7.7, 8.2]]).to(dtype)

    def pool() -> Tensor:
        output = maps.new_zeros(1, 2, 3, 3)
        empty = maps.new_zeros(0)
        settings = 3, 3, 1.0, 0, 1, True
        roi_align_forward(maps, rois, output, empty, empty, *settings)
        return output

    pure, found = on_both_kinds(pool)
    assert found.dtype == dtype
    torch.testing.assert_close(pure, found)
    boxes, scores = make_boxes()
    boxes = torch.cat([boxes, torch.rand(50, 4).cumsum(1) * 20])
    scores = torch.rand(len(boxes))
    both = on_both_kinds(ops.nms, boxes.to(dtype), scores.to(dtype), 0.5)
    assert both[0][1].tolist() == both[1][1].tolist()
