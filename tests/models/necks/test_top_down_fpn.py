"""The pyramid of MobileViT's Mask R-CNN, by a calculation of its own."""

import pytest
import torch
from torch.nn import functional as F

from lvt_dense.models.necks import TopDownFPN

SIZES = ((20, 28), (10, 14), (5, 7), (3, 4))


@pytest.fixture
def maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3 + k, *size) for k, size in enumerate(SIZES)]


def test_levels(maps: list[torch.Tensor]) -> None:
    neck = TopDownFPN([3, 4, 5, 6], out_channels=8).eval()
    outs = neck(maps)
    assert [tuple(x.shape) for x in outs] == [
        (2, 8, *size) for size in (*SIZES, (2, 2))
    ]
    projected = [f(x) for f, x in zip(neck.projections, maps)]
    assert torch.equal(outs[3], projected[3])
    above = neck.convs[3](projected[3])
    for level in (2, 1, 0):
        above = F.interpolate(above, size=SIZES[level])
        above = neck.convs[level](projected[level] + above)
        assert torch.allclose(outs[level], above)
    assert torch.allclose(outs[4], neck.strided[0](outs[3]))


def test_every_parameter_learns(maps: list[torch.Tensor]) -> None:
    neck = TopDownFPN([3, 4, 5, 6], out_channels=8)
    sum(x.square().mean() for x in neck(maps)).backward()
    assert all(p.grad is not None for p in neck.parameters())
