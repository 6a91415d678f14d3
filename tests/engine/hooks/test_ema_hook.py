"""Averages of all tensors at once equal those of one by one."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmdet.models.layers import ExpMomentumEMA
from mmengine.model import (
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from torch import nn

from lvt_dense.engine.hooks import EMAHook
from lvt_dense.engine.hooks.ema_hook import update_average


def change(model: nn.Module, seed: int) -> None:
    """Change weights and statistics, as a step does."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor += 1 if tensor.dtype == torch.long else torch.randn(())


@pytest.mark.parametrize('update_buffers', [True, False])
@pytest.mark.parametrize(
    'kind', [ExponentialMovingAverage, MomentumAnnealingEMA, ExpMomentumEMA]
)
def test_averages_are_equal(kind: type, update_buffers: bool) -> None:
    model: Any = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    settings = dict(momentum=0.1, interval=2, update_buffers=update_buffers)
    expected = kind(model, **settings)
    found = copy.deepcopy(expected)
    found.avg_parameters = (
        found.module.state_dict()
        if update_buffers
        else dict(found.module.named_parameters())
    )
    for step in range(6):
        change(model, step)
        expected.update_parameters(model)
        update_average(found, model)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name


@pytest.mark.parametrize(
    ('kind', 'is_ours'),
    [(ExponentialMovingAverage, True), (StochasticWeightAverage, False)],
)
def test_hook_changes_what_it_knows(kind: type, is_ours: bool) -> None:
    hook = EMAHook(ema_type=kind.__name__)
    hook.before_run(SimpleNamespace(model=nn.Linear(2, 2)))
    assert type(hook.ema_model) is kind
    assert ('update_parameters' in vars(hook.ema_model)) == is_ours
