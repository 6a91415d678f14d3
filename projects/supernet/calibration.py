"""Batch statistics of a sub-network, from training images."""

import copy
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import all_reduce_params
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCHES = 64  # of the paper's code


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[Any]) -> nn.Module:
    """Take the batch statistics of a model anew.

    The model is in eval mode, its batch norms average over the batches; with
    several processes, over those of all. A batch norm that prediction does
    not use, as in an auxiliary head, keeps what it has.

    Args:
        model: A detector, segmenter or classifier; changed in place.
        batches: Training batches as the data loader gives them.

    Returns:
        The model, in eval mode.
    """
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [copy.deepcopy(norm.state_dict()) for norm in norms]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    for batch in batches:
        data = model.data_preprocessor(batch, True)  # pads, if need be
        model(data['inputs'], data['data_samples'], mode='tensor')
    for norm, state, momentum in zip(norms, kept, momenta):
        norm.momentum = momentum
        if not norm.num_batches_tracked:
            norm.load_state_dict(state)
    statistics = [
        value
        for norm in norms
        for value in (norm.running_mean, norm.running_var)
    ]
    all_reduce_params(statistics, op='mean')
    return model.eval()


def draw_batches(cfg: Config, count: int, seed: int = 0) -> list[Any]:
    """Draw training batches, in a loader apart from that of the training.

    Args:
        cfg: Config with a ``train_dataloader``.
        count: Number of batches; fewer if the data set has fewer.
        seed: Of their order.
    """
    loader_cfg = copy.deepcopy(cfg.train_dataloader)
    loader_cfg.update(num_workers=0, persistent_workers=False)
    loader_cfg.pop('prefetch_factor', None)
    # The training goes on with the random numbers that it would have had.
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        loader = Runner.build_dataloader(loader_cfg, seed=seed)
        batches = [batch for batch, _ in zip(loader, range(count))]
    random.setstate(states[0])
    np.random.set_state(states[1])
    return batches


def name_subnets(subnets: Sequence[Any]) -> dict[str, Any]:
    """Name sub-networks that a config lists, for the log."""
    return {
        name if isinstance(name, str) else f'subnet{number}': name
        for number, name in enumerate(subnets)
    }
