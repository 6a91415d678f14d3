"""RoIAlign against a plain loop, forward and backward."""

import pytest
import torch
from helpers import plain_ops
from torch import Tensor

from lvt_dense.ops import roi_align as ops


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
