"""Receptive fields of plain convolutions equal their theory."""

import pytest
import torch
from torch import nn

from lvt_dense.explain.receptive_field import (
    effective_receptive_field,
    side_of,
)


def convolutions(depth: int, kernel: int, dilation: int = 1) -> nn.Module:
    layers = [
        nn.Conv2d(1, 1, kernel, padding=dilation * (kernel // 2),
                  dilation=dilation)
        for _ in range(depth)
    ]  # fmt: skip
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    'depth, kernel, dilation', [(1, 3, 1), (4, 3, 1), (2, 5, 1), (3, 3, 2)]
)
def test_size(depth: int, kernel: int, dilation: int) -> None:
    network = convolutions(depth, kernel, dilation)
    (field,) = effective_receptive_field(
        lambda x: [network(x)], (41, 41), samples=1, channels=1
    )
    expected = 1 + depth * (kernel - 1) * dilation
    rows, columns = field.nonzero().T
    assert rows.max() - rows.min() + 1 == expected
    assert columns.max() - columns.min() + 1 == expected
    assert side_of(field, 1.0) == expected


def test_weights_are_those_of_repeated_sums() -> None:
    network = convolutions(2, 3)
    (field,) = effective_receptive_field(
        lambda x: [network(x)], (21, 21), samples=2, channels=1
    )
    line = torch.tensor([1.0, 2, 3, 2, 1])
    torch.testing.assert_close(
        field[8:13, 8:13], line[:, None] * line / line.sum() ** 2
    )


def test_stride() -> None:
    layers = [nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, 2, 1)]
    network = nn.Sequential(*layers)
    (field,) = effective_receptive_field(
        lambda x: [network(x)], (64, 64), samples=1, channels=1
    )
    rows = field.sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == 3 + 2 * 2


def test_side_of_a_square() -> None:
    field = torch.zeros(31, 31)
    field[10:21, 10:21] = 1 / 121
    assert side_of(field, 1.0) == 11
    assert side_of(field, 0.05) == 3
