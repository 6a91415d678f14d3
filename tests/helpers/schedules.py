"""Play a schedule without training."""

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS


def play(
    cfg: Config,
    iters: int,
    epoch_length: int = 1,
    model: torch.nn.Module | None = None,
) -> list[list[float]]:
    """Learning rates of a run.

    Args:
        cfg: Config with ``optim_wrapper`` and ``param_scheduler``.
        iters: Iterations of the run.
        epoch_length: Iterations of an epoch.
        model: Module whose parameters form the groups; by default one linear
            layer.

    Returns:
        Rate of every parameter group in every iteration, and after the last.
    """
    settings = cfg.optim_wrapper.to_dict()
    settings['type'] = 'OptimWrapper'  # mixed precision asks for a GPU
    settings.pop('loss_scale', None)
    model = model or torch.nn.Linear(1, 1)
    wrapper = build_optim_wrapper(model, settings)
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(item),
            default_args=dict(optimizer=wrapper, epoch_length=epoch_length),
        )
        for item in cfg.get('param_scheduler') or []
    ]
    rates = [[group['lr'] for group in wrapper.optimizer.param_groups]]
    for step in range(1, iters + 1):
        wrapper.optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or step % epoch_length == 0:
                scheduler.step()
        rates.append([group['lr'] for group in wrapper.optimizer.param_groups])
    return rates


def first_copy_share(momentum: float, updates: int) -> float:
    """Compute the share of the initial weights in an average."""
    return (1 - momentum) ** updates
