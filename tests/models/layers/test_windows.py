"""Windows of a map: which pixels they hold, and the way back."""

import pytest
import torch

from lvt_dense.models.layers import Windows, even_side


@pytest.mark.parametrize(
    ('length', 'longest', 'side'),
    [(50, 18, 17), (14, 14, 14), (15, 14, 8), (50, None, 50)],
)
def test_even_windows_are_few(
    length: int, longest: int | None, side: int
) -> None:
    assert even_side(length, longest) == side


@pytest.mark.parametrize(
    ('windows', 'sides', 'count'),
    [
        (Windows.even((50, 84), 18), (17, 17), 15),
        (Windows.even((18, 18), 18), (18, 18), 1),
        (Windows.even((50, 84), None), (50, 84), 1),
        (Windows.even((9, 40), 18, step=2), (5, 10), 8),
        (Windows.even((10, 14), None, step=2), (5, 7), 4),
        (Windows.tile((15, 14), 7), (7, 7), 6),
        (Windows.spread((15, 14), 7), (7, 7), 6),
        (Windows.spread((15, 14), 0), (15, 14), 1),
    ],
)
def test_split_and_merge(
    windows: Windows, sides: tuple[int, int], count: int
) -> None:
    x = torch.randn(2, *windows.size, 3)
    split = windows.split(x)
    assert windows.sides == sides
    assert windows.count == count
    assert split.shape == (2 * count, sides[0] * sides[1], 3)
    assert torch.equal(windows.merge(split), x)
    none = windows.split(x[:0])
    assert none.shape == (0, sides[0] * sides[1], 3)
    assert windows.merge(none).shape == (0, *windows.size, 3)


@pytest.mark.parametrize(
    ('windows', 'second'),
    [
        (Windows.tile((4, 6), 2), [2, 3, 8, 9]),
        (Windows.even((4, 6), 3), [3, 4, 5, 9, 10, 11]),
        (Windows.even((4, 6), None, step=2), [1, 3, 5, 13, 15, 17]),
        (Windows.spread((4, 6), 2), [1, 4, 13, 16]),
    ],
)
def test_second_window(windows: Windows, second: list[int]) -> None:
    x = torch.arange(24).view(1, 4, 6, 1)
    assert windows.split(x)[1].flatten().tolist() == second


def test_padding_is_below_and_on_the_right() -> None:
    windows = Windows.tile((3, 2), 2)
    parts = windows.split(torch.ones(1, 3, 2, 1), fill=-1)
    assert windows.padding == (1, 0)
    assert parts[..., 0].tolist() == [[1, 1, 1, 1], [1, 1, -1, -1]]
