"""RoIAlign against a plain loop, forward and backward."""

from collections import Counter
from typing import Any

import pytest
import torch
from helpers import plain_ops
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lvt_dense.ops import roi_align as ops
from lvt_dense.ops.sampling import Bags, _sum_by_pixel, spread_bags


def make_rois(n: int, images: int, size: float) -> Tensor:
    """Make regions that also reach over the border."""
    corner = torch.rand(n, 2) * size - 4
    image = torch.randint(images, (n, 1)).float()
    return torch.cat([image, corner, corner + torch.rand(n, 2) * size], 1)


def pool(
    maps: Tensor, rois: Tensor, *settings: object
) -> tuple[Tensor, Tensor]:
    """Pool, and give the gradient of the sum weighted by 1, 2, ..."""
    bins, scale, ratio, mode, aligned = settings
    code = ['max', 'avg'].index(mode)
    output = maps.new_zeros(len(rois), maps.size(1), *bins)
    rest = (*bins, scale, ratio, code, aligned)
    ys, xs = torch.zeros_like(output), torch.zeros_like(output)
    ops.roi_align_forward(maps, rois, output, ys, xs, *rest)
    grad = torch.arange(1.0, output.numel() + 1).view_as(output)
    grad_maps = torch.zeros_like(maps)
    ops.roi_align_backward(grad.to(maps.dtype), rois, ys, xs, grad_maps, *rest)
    return output, grad_maps


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('ratio', [0, 1, 2])
@pytest.mark.parametrize('bins', [(2, 3), (1, 1)])
def test_equals_loop(
    aligned: bool, mode: str, ratio: int, bins: tuple[int, int]
) -> None:
    torch.manual_seed(ratio)
    maps = torch.randn(2, 2, 9, 11)
    settings = (bins, 0.5, ratio, mode, aligned)
    rois = make_rois(5, 2, 24)
    expected = plain_ops.roi_align(maps, rois, *settings)
    for found, loop in zip(pool(maps, rois, *settings), expected):
        torch.testing.assert_close(found, loop, rtol=1e-5, atol=1e-4)


def test_parts_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    maps, rois = torch.randn(2, 3, 12, 12), make_rois(20, 2, 24)
    settings = ((3, 3), 0.5, 0, 'avg', True)
    whole = pool(maps, rois, *settings)
    monkeypatch.setattr(ops, '_MAX_ENTRIES', 40)
    for part, expected in zip(pool(maps, rois, *settings), whole):
        torch.testing.assert_close(part, expected)


def test_no_regions() -> None:
    maps = torch.randn(1, 2, 6, 6)
    output, grad = pool(maps, torch.zeros(0, 5), (2, 2), 1.0, 0, 'avg', True)
    assert output.shape == (0, 2, 2, 2)
    assert not grad.any()


def test_a_region_without_size_gives_zeros() -> None:
    maps = torch.ones(1, 1, 6, 6)
    rois = torch.tensor([[0.0, 2, 2, 2, 2]])
    output, grad = pool(maps, rois, (2, 2), 1.0, 0, 'avg', True)
    assert not output.any()
    assert not grad.any()


def test_a_negative_size_is_an_error() -> None:
    rois = torch.tensor([[0.0, 4, 4, 2, 6]])
    with pytest.raises(RuntimeError, match='negative size'):
        pool(torch.ones(1, 1, 6, 6), rois, (2, 2), 1.0, 0, 'avg', True)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    maps, rois = torch.randn(1, 2, 9, 9), make_rois(3, 1, 8).round()
    settings = ((2, 2), 1.0, 0, 'avg', True)
    low = pool(maps.to(dtype), rois.to(dtype), *settings)
    for found, expected in zip(low, pool(maps, rois, *settings)):
        assert found.dtype == dtype
        torch.testing.assert_close(
            found.float(), expected, rtol=2e-2, atol=2e-2
        )


def test_channels_last() -> None:
    torch.manual_seed(0)
    maps, rois = torch.randn(2, 4, 9, 9), make_rois(3, 2, 9)
    settings = ((2, 2), 1.0, 0, 'avg', True)
    last = maps.to(memory_format=torch.channels_last)
    for found, expected in zip(
        pool(last, rois, *settings), pool(maps, rois, *settings)
    ):
        torch.testing.assert_close(found, expected)


def test_planes_equal_maps_of_several_channels() -> None:
    torch.manual_seed(0)
    masks = (torch.rand(6, 1, 50, 70) > 0.5).float()
    rois = make_rois(30, 6, 60.0)
    for bins, ratio in ((7, 0), (28, 0), (5, 2)):
        found = []
        for channels in (1, 2):
            output = masks.new_zeros(30, channels, bins, bins)
            empty = masks.new_zeros(0)
            settings = bins, bins, 1.0, ratio, 1, True
            maps = masks.expand(-1, channels, -1, -1)
            ops.roi_align_forward(maps, rois, output, empty, empty, *settings)
            found.append(output[:, 0])
        assert found[0].any()
        torch.testing.assert_close(*found)


class _Waits(TorchDispatchMode):
    """Count what makes the host wait for a device."""

    NAMES = (
        'aten._local_scalar_dense.default',
        'aten.nonzero.default',
        'aten.repeat_interleave.Tensor',
        'aten.unique_consecutive.default',
        'aten.equal.default',
        'aten.bincount.default',
        'aten.index.Tensor',  # with a mask
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        name = str(func)
        waits = name in self.NAMES
        if name == 'aten.index.Tensor':
            waits = any(
                i is not None and i.dtype == torch.bool for i in args[1]
            )
        if name == 'aten.repeat_interleave.Tensor':
            waits = (kwargs or {}).get('output_size') is None
        self.found[name] += waits
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('channels', [1, 3])
def test_the_host_waits_once(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(
        torch.Tensor, 'tolist', lambda x: lists.append(x) or tolist(x)
    )
    maps = torch.rand(2, channels, 40, 40)
    rois = make_rois(20, 2, 30.0)
    output, empty = maps.new_zeros(20, channels, 7, 7), maps.new_zeros(0)
    settings = 7, 7, 1.0, 0, 1, True
    with _Waits() as waits:
        ops.roi_align_forward(maps, rois, output, empty, empty, *settings)
    assert output.any()
    assert len(lists) == 1
    assert sum(waits.found.values()) == 0, waits.found


def test_gradients_of_a_table_without_a_count_of_its_rows() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(9, (40,))
    weights, grads = torch.rand(40), torch.rand(10, 3)
    bags = Bags(
        pixels,
        weights,
        torch.arange(10) * 4,
        torch.arange(10).repeat_interleave(4),
    )
    table = torch.zeros(12, 3)
    spread_bags(grads, bags, table)
    order = pixels.argsort()
    found = _sum_by_pixel(
        grads, pixels[order], bags.owners[order], weights[order], 12
    )
    torch.testing.assert_close(found, table)
