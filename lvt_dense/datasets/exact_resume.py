"""Draw the same batches again in a resumed training.

The order of the images follows from a seed and the epoch already. Here, the
random numbers of their augmentation follow too, whatever process loads them
and whatever was loaded before, and an epoch can be entered in the middle.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from torch.utils.data import BatchSampler, Sampler

from lvt_dense.registry import DATA_SAMPLERS
from lvt_dense.utils.errors import UserError


class SeededIndex(NamedTuple):
    """An index of a data set, and the seed with which its datum is loaded."""

    number: int
    seed: int


class SeededItems:
    """Load data by :class:`SeededIndex`; an instance's ``__getitems__``.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[SeededIndex]) -> list:
        """Load the data of a batch."""
        return [self._load(*index) for index in indices]

    def _load(self, index: int, seed: int) -> Any:
        random.seed(seed)
        np.random.seed(seed)
        # Of the CPU alone: a worker process must not touch a GPU.
        torch.default_generator.manual_seed(seed)
        return self.dataset[index]


@DATA_SAMPLERS.register_module()
class ReplayBatchSampler(Sampler):
    """Draw the batches of another batch sampler, from any point on.

    A ``batch_sampler`` of MMEngine's data loaders.

    Args:
        sampler: Sampler of the indices of this rank.
        batch_size: Images of a batch.
        batch_sampler: Config of the batch sampler, by default PyTorch's.
        drop_last: Whether PyTorch's leaves out a last batch that is short.
        is_seeded: Load each datum with a seed of its own.
        done_epochs: Epochs that the resumed training has completed.
        done_iters: Iterations that it has done in all. Those since its last
            complete epoch are skipped when the first epoch is drawn.

    Attributes:
        first: Number of the batch with which the next epoch begins.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        batch_sampler: dict[str, Any] | None = None,
        drop_last: bool = False,
        is_seeded: bool = True,
        done_epochs: int = 0,
        done_iters: int = 0,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.inner: Any = BatchSampler(sampler, batch_size, drop_last)
        if batch_sampler is not None:
            self.inner = DATA_SAMPLERS.build(
                dict(batch_sampler),
                default_args=dict(sampler=sampler, batch_size=batch_size),
            )
        self.is_seeded = is_seeded
        if is_seeded:
            _take_seeds(sampler)
        self.first = self._find_first(done_epochs, done_iters)

    def _find_first(self, done_epochs: int, done_iters: int) -> int:
        if isinstance(self.sampler, InfiniteSampler):
            return done_iters
        before = getattr(self.sampler, 'epoch', 0)
        left = done_iters
        for epoch in range(done_epochs):
            self._set_epoch(epoch)
            left -= len(self.inner)
        self._set_epoch(done_epochs)
        # Other numbers are those of a run whose batches were not these.
        first = left if 0 <= left <= len(self.inner) else 0
        self._set_epoch(before)
        return first

    def _set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list]:
        """Yield the batches of an epoch, or batches without end."""
        first, self.first = self.first, 0
        batches = islice(iter(self.inner), first, None)
        for number, batch in enumerate(batches, first):
            yield self._with_seeds(batch, number) if self.is_seeded else batch

    def _with_seeds(
        self, batch: Sequence[int], number: int
    ) -> list[SeededIndex]:
        seeds = draw_seeds(
            getattr(self.sampler, 'seed', None) or 0,
            get_rank(),
            getattr(self.sampler, 'epoch', 0),
            number,
            count=len(batch),
        )
        return [SeededIndex(*pair) for pair in zip(batch, seeds)]

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return len(self.inner)


def draw_seeds(*key: int, count: int = 1) -> list[int]:
    """Draw seeds that depend on a key alone.

    Args:
        *key: Numbers from 0 up.
        count: Number of seeds.

    Returns:
        Seeds in [0, 2**32).
    """
    return np.random.SeedSequence(key).generate_state(count).tolist()


def _take_seeds(sampler: Sampler) -> None:
    """Let the data set of a sampler be loaded by :class:`SeededIndex`."""
    dataset = getattr(sampler, 'dataset', None)
    if dataset is None:
        raise UserError(
            f'--exact-resume: the sampler {type(sampler).__name__} does not '
            'say what it samples (no attribute "dataset"); use MMEngine\'s '
            'DefaultSampler or InfiniteSampler, or leave the option out'
        )
    # PyTorch's data loaders ask for it before they take datum after datum.
    dataset.__getitems__ = SeededItems(dataset)
