"""Batches of varying image size: MobileViT's multi-scale sampler.

Source: S. Mehta and M. Rastegari, "MobileViT", ICLR 2022, Section 3 and
Listing 1 of the appendix. Every batch has an image size drawn from a few, and
as many images as keep the number of pixels about constant, so that small
images make few, large batches.
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mmengine.dataset import InfiniteSampler
from torch.utils.data import Sampler

from lvt_dense.registry import DATA_SAMPLERS
from lvt_dense.utils.errors import UserError

DIVISOR = 32  # of the drawn heights and widths


class Scale(NamedTuple):
    """An image size, and the images of a batch of this size on one GPU."""

    height: int
    width: int
    batch_size: int


class SizedIndex(int):
    """An index of a data set that carries the size its image should have.

    It is an integer to every data set. Data sets that wrap others compute
    with indices; the size stays with the result.

    Attributes:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """

    height: int
    width: int

    def __new__(cls, index: int, height: int, width: int) -> 'SizedIndex':
        """Create an index with a size."""
        self = super().__new__(cls, index)
        self.height, self.width = height, width
        return self

    def __getnewargs__(  # type: ignore[override]
        self,
    ) -> tuple[int, int, int]:
        """Return what pickling needs, on the way to a worker process."""
        return int(self), self.height, self.width

    def __sub__(self, other: int) -> 'SizedIndex':
        """Subtract, as ``ConcatDataset`` does."""
        return SizedIndex(int(self) - other, self.height, self.width)

    def __mod__(self, other: int) -> 'SizedIndex':
        """Take the remainder, as ``RepeatDataset`` does."""
        return SizedIndex(int(self) % other, self.height, self.width)


def list_scales(
    base_size: Sequence[int],
    batch_size: int,
    size_range: Sequence[float],
    num_scales: int,
) -> list[Scale]:
    """List the image sizes and their batches.

    Heights and widths are spread evenly over the range and rounded to
    multiples of 32; the base size is always among them.

    Args:
        base_size: Height and width in pixels.
        batch_size: Images of the base size on one GPU.
        size_range: Smallest and largest size over the base size.
        num_scales: Sizes to spread, at least 1.

    Returns:
        Sizes in ascending order.
    """
    pixels = math.prod(base_size) * batch_size
    sides = [_spread(side, size_range, num_scales) for side in base_size]
    sizes = {*zip(*sides), tuple(_round(side) for side in base_size)}
    return [
        Scale(h, w, max(1, int(round(pixels / (h * w), 2))))
        for h, w in sorted(sizes)
    ]


def _spread(side: int, size_range: Sequence[float], count: int) -> list[int]:
    low, high = (int(side * factor) for factor in size_range)
    step = (high - low) / max(count - 1, 1)
    return [_round(low + i * step) for i in range(count)]


def _round(side: float) -> int:
    """Round to a multiple of 32, never down by more than a tenth."""
    rounded = max(DIVISOR, int(side + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * side else rounded


@DATA_SAMPLERS.register_module()
class VariableBatchSampler(Sampler):
    """Draw batches of varying image size with about equally many pixels.

    A ``batch_sampler`` of MMEngine's data loaders. The sequence of sizes
    depends on the sampler's seed and epoch alone, so it is the same on every
    rank and after a resumption. The sizes reach the transforms through
    :class:`~lvt_dense.datasets.transforms.drawn_size.DrawnSize`.

    The last batch of an epoch is filled up from the first indices of the
    rank, so that every batch has its nominal size.

    Args:
        sampler: Sampler of the indices of this rank; an ``InfiniteSampler``
            for loops that count iterations.
        batch_size: Images of the base size on one GPU.
        base_size: Height and width in pixels, multiples of 32.
        size_range: Smallest and largest size over the base size.
        num_scales: Number of sizes.
        drop_last: Accepted as by MMEngine's batch sampler; no batch is short.

    Raises:
        UserError: An argument is out of range.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        base_size: Sequence[int],
        size_range: Sequence[float] = (0.5, 1.5),
        num_scales: int = 5,
        drop_last: bool = False,
    ) -> None:
        if len(base_size) != 2 or any(s < 1 or s % DIVISOR for s in base_size):
            raise UserError(
                f'VariableBatchSampler: base_size={tuple(base_size)}; give '
                f'height and width in multiples of {DIVISOR}'
            )
        if batch_size < 1 or num_scales < 1:
            raise UserError(
                f'VariableBatchSampler: batch_size={batch_size}, '
                f'num_scales={num_scales}; both are 1 or more'
            )
        if not 0 < size_range[0] <= size_range[1]:
            raise UserError(
                f'VariableBatchSampler: size_range={tuple(size_range)}; give '
                'the smallest and the largest factor, such as (0.5, 1.5)'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.scales = list_scales(
            base_size, batch_size, size_range, num_scales
        )

    def _draws(self) -> Iterator[Scale]:
        """Draw sizes without end, the same on every rank."""
        seed = getattr(self.sampler, 'seed', None) or 0
        epoch = getattr(self.sampler, 'epoch', 0)
        numbers = random.Random(f'{seed} {epoch}')
        while True:
            yield numbers.choice(self.scales)

    def __iter__(self) -> Iterator[list[SizedIndex]]:
        """Yield the batches of an epoch, or batches without end."""
        draws = self._draws()
        first: list[int] = []
        batch: list[SizedIndex] = []
        scale = next(draws)
        largest = max(s.batch_size for s in self.scales)
        for index in self.sampler:
            if len(first) < largest:
                first.append(index)
            batch.append(SizedIndex(index, scale.height, scale.width))
            if len(batch) == scale.batch_size:
                yield batch
                batch, scale = [], next(draws)
        if batch:
            for i in range(scale.batch_size - len(batch)):
                index = first[i % len(first)]
                batch.append(SizedIndex(index, scale.height, scale.width))
            yield batch

    def __len__(self) -> int:
        """Return the number of batches of the sampler's epoch.

        Of an infinite sampler, return those of one pass through the data.
        """
        left = len(self.sampler)  # type: ignore[arg-type]
        if isinstance(self.sampler, InfiniteSampler):
            left = math.ceil(self.sampler.size / self.sampler.world_size)
        for count, scale in enumerate(self._draws()):
            if left <= 0:
                return count
            left -= scale.batch_size
        raise AssertionError('the draws have no end')


def size_of(results: dict[str, Any]) -> tuple[int, int] | None:
    """Return the height and width drawn for an image, None without any."""
    for key in ('sample_idx', 'index'):
        index = results.get(key)
        if isinstance(index, SizedIndex):
            return index.height, index.width
    return None
