"""Helpers of activation checkpointing."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def _untracked(norms: tuple[_BatchNorm, ...]) -> Iterator[None]:
    # With momentum 0 a norm keeps its statistics, and still saves as many
    # tensors as in the first pass, which checkpoint() insists on.
    before = [(n.momentum, n.num_batches_tracked.clone()) for n in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)


def frozen_batch_statistics(
    module: nn.Module,
) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Make the contexts of the first and the recomputed forward pass.

    Without them the recomputation in the backward pass would update the
    running statistics of batch norm a second time.
    """
    norms = tuple(
        m
        for m in module.modules()
        if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
    )
    return nullcontext(), _untracked(norms)
