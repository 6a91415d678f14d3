"""Graphs of many axes, run with four."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lvt_dense.deploy.low_rank import MAX_RANK, LowRank, permute
from lvt_dense.models.layers import Attention, Windows, attend
from lvt_dense.utils.errors import UserError


class Ranks(TorchDispatchMode):
    """Note the largest number of axes of any result."""

    most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(one, Tensor):
                self.most = max(self.most, one.dim())
        return out


@pytest.mark.parametrize('shape', [(2, 3, 4, 5, 2), (1, 3, 1, 2, 4)])
def test_any_order_by_exchanges(shape: tuple[int, ...]) -> None:
    x = torch.arange(torch.tensor(shape).prod()).view(shape)
    for order in itertools.permutations(range(len(shape))):
        with Ranks() as ranks:
            found = permute(x.flatten(), shape, order)
        assert ranks.most <= MAX_RANK
        expected = x.permute(order)
        assert torch.equal(found.flatten(), expected.flatten())


class Windowed(nn.Module):
    """Attention in windows whose pixels lie apart, of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = Attention(8, 2)
        self.bias = nn.Parameter(torch.randn(1, 2, 12, 12))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        windows = Windows(x.shape[2:], (3, 4), (2, 2))
        tokens = self.attention(windows.split(x.permute(0, 2, 3, 1)))
        tokens = attend(self.attention.qkv(tokens), 2, self.bias)
        x = windows.merge(tokens).permute(0, 3, 1, 2)
        parts = x.view(1, 2, 2, 2, 11, -1)
        parts = parts[:, :, 1:].select(1, 0).flatten(1)
        return x + x.mean((2, 3), keepdim=True).expand_as(x), parts


def test_windows_and_heads_have_four_axes() -> None:
    module, x = Windowed().eval(), torch.randn(1, 8, 11, 15)
    with torch.no_grad():
        narrow = LowRank(module, (x,))
        with Ranks() as plain:
            expected = module(x)
        with Ranks() as ranks:
            found = narrow(x)
    assert plain.most == 8 and ranks.most <= MAX_RANK
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_constants_are_folded() -> None:
    class Table(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            places = torch.arange(4)
            return x + (places[:, None] - places + places[-1]).to(x.dtype)

    x = torch.randn(4, 4)
    program = LowRank(Table(), (x,))
    traced = torch.jit.trace(program, x, check_trace=False)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert 'aten::add' in kinds and not kinds & {'aten::arange', 'aten::sub'}
    torch.testing.assert_close(program(x), Table()(x))


def test_sums_are_taken_apart() -> None:
    class Sums(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = torch.baddbmm(x, x, x, beta=0.5, alpha=2)
            return torch.addcmul(x, x, x, value=3)

    x = torch.randn(2, 4, 4)
    program = LowRank(Sums(), (x,))
    traced = torch.jit.trace(program, x, check_trace=False)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert 'aten::bmm' in kinds
    assert not kinds & {'aten::baddbmm', 'aten::addcmul'}
    torch.testing.assert_close(program(x), Sums()(x))


def test_other_operators_are_refused() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.view(1, 2, 2, 2, 2).sum(2)

    x = torch.randn(1, 4, 4)
    with pytest.raises(UserError, match='^aten.sum of a tensor of 5 axes'):
        LowRank(Sum(), (x,))(x)
