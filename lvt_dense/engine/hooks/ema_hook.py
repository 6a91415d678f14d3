"""Averages of weights, updated in a few operators instead of one a tensor."""

import functools
from collections.abc import Sequence

import torch
from mmengine.hooks import EMAHook as MMEngineEMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.registry import HOOKS


@HOOKS.register_module()
class EMAHook(MMEngineEMAHook):
    """MMEngine's hook, which updates all tensors of the average at once.

    On a GPU, MMEngine launches a kernel for each of some hundred tensors.
    """

    def before_run(self, runner: Runner) -> None:
        """Make the average."""
        super().before_run(runner)
        average = self.ema_model
        if isinstance(average, ExponentialMovingAverage):
            average.update_parameters = functools.partial(
                update_average, average
            )


@torch.no_grad()
def update_average(
    average: ExponentialMovingAverage, model: nn.Module
) -> None:
    """Update an average as its ``update_parameters`` does.

    Args:
        average: Any average whose ``avg_func`` interpolates between old and
            new, as all of MMEngine's and MMDetection's do.
        model: Model of the new values.
    """
    if average.update_buffers:
        names = list(average.avg_parameters)
        values = model.state_dict()
    else:
        names = list(average.avg_parameters)
        values = dict(model.named_parameters())
    old = [average.avg_parameters[name].data for name in names]
    new = [values[name].data for name in names]
    if average.steps == 0:
        _copy(old, new)
    elif average.steps % average.interval == 0:
        pairs = [(a, b) for a, b in zip(old, new) if a.is_floating_point()]
        old, new = [a for a, _ in pairs], [b for _, b in pairs]
        torch._foreach_lerp_(old, _move(new, old), _weight(average))
    if not average.update_buffers:
        _copy(list(average.module.buffers()), list(model.buffers()))
    average.steps += 1


def _weight(average: ExponentialMovingAverage) -> float:
    """Return the weight of the new values, which may depend on the step."""
    probe = torch.zeros((), dtype=torch.float64)
    average.avg_func(probe, torch.ones_like(probe), average.steps)
    return float(probe)


def _move(tensors: Sequence[Tensor], to: Sequence[Tensor]) -> list[Tensor]:
    return [a.to(b.device) for a, b in zip(tensors, to)]


def _copy(old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
    if old:
        torch._foreach_copy_(list(old), _move(new, old))
