"""Two training steps and one prediction of a config, without a runner."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import Tensor, nn


class Step(NamedTuple):
    """What is left after the steps.

    Attributes:
        model: The model, in eval mode.
        moved: Share of the parameters that the steps changed, in [0, 1].
        losses: Losses of the last step, by name.
        predictions: Data samples of the first image to validate on.
    """

    model: nn.Module
    moved: float
    losses: dict[str, Tensor]
    predictions: list[Any]


def take_one_step(cfg: Config) -> Step:
    """Build what a config names, train two steps and predict one image."""
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    settings = dict(cfg.optim_wrapper.to_dict(), type='OptimWrapper')
    optim_wrapper = build_optim_wrapper(model, settings)
    before = [p.detach().clone() for p in model.parameters()]
    data = _collate(cfg, 'train', cfg.train_dataloader.batch_size)
    model.train()
    for _ in range(2):  # the first leaves what starts at zero as it is
        losses = model.train_step(data, optim_wrapper)
    moved = [not a.equal(b) for a, b in zip(model.parameters(), before)]
    predictions = model.eval().val_step(_collate(cfg, 'val', 1))
    return Step(model, sum(moved) / len(moved), losses, predictions)


def in_tiers(names: Iterable[str], kept: str) -> list[Any]:
    """Leave the recipes that a pattern does not find to a release."""
    return [
        name
        if not isinstance(name, str) or re.search(kept, name)
        else pytest.param(name, marks=pytest.mark.release)
        for name in names
    ]


def _collate(cfg: Config, split: str, count: int) -> Any:
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    return pseudo_collate([dataset[i % len(dataset)] for i in range(count)])
