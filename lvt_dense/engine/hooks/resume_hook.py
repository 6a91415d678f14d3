"""The schedule of a resumed training is that of its config."""

import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from lvt_dense.registry import HOOKS

# How, and not what, an optimizer computes.
_KERNELS = ('params', 'fused', 'foreach', 'differentiable', 'capturable')
# Of a scheduler's state, what depends on how far the training is.
_PROGRESS = ('last_step', '_global_step', '_last_value', 'verbose')


@HOOKS.register_module()
class ResumeHook(Hook):
    """Put a resumed training where the schedule of its config has it.

    MMEngine restores the schedulers and the settings of the optimizer from
    the checkpoint, and with them the old length, learning rate and weight
    decay, whatever the config says now. Where the two differ, the schedulers
    of the config are run again from the start up to the present step.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Keep what the config says, before a checkpoint replaces it."""
        self._states = [
            deepcopy(scheduler.state_dict()) for scheduler in _all(runner)
        ]
        self._groups = [
            [_settings(group) for group in optimizer.param_groups]
            for optimizer in _optimizers(runner)
        ]

    def before_train(self, runner: Runner) -> None:
        """Compare, and follow the config where it differs."""
        self._fit_length(runner)
        schedulers = list(_all(runner))
        optimizers = _optimizers(runner)
        is_same = all(
            _fixed(scheduler.state_dict()) == _fixed(state)
            for scheduler, state in zip(schedulers, self._states)
        )
        changes = self._compare(optimizers)
        if is_same and not changes:
            return
        before = [_rates(optimizer) for optimizer in optimizers]
        for optimizer, groups in zip(optimizers, self._groups):
            for group, settings in zip(optimizer.param_groups, groups):
                group.update(deepcopy(settings))
        for scheduler, state in zip(schedulers, self._states):
            scheduler.load_state_dict(deepcopy(state))
        _run_again(runner, schedulers)
        rates = [_rates(optimizer) for optimizer in optimizers]
        runner.logger.info(
            'the schedule of the config differs from that of the checkpoint, '
            f'and is used from here: learning rate {_text(rates)} instead of '
            f'{_text(before)}{"".join(f"; {line}" for line in changes)}'
        )

    def _compare(self, optimizers: list[Any]) -> list[str]:
        """Say which settings of the optimizers differ from the config's."""
        lines = {}
        for optimizer, groups in zip(optimizers, self._groups):
            scheduled = {
                key.removeprefix('initial_')
                for group in groups
                for key in group
                if key.startswith('initial_')
            }
            for old, new in zip(optimizer.param_groups, groups):
                for key in new.keys() - scheduled:
                    if key in old and old[key] != new[key]:
                        lines[key] = f'{key} {new[key]}, and not {old[key]}'
        return [lines[key] for key in sorted(lines)]

    def _fit_length(self, runner: Runner) -> None:
        """Count iterations anew where an epoch has another number of them."""
        loop = runner.train_loop
        if type(loop) is not EpochBasedTrainLoop or not loop.epoch:
            return
        old, rest = divmod(loop.iter, loop.epoch)
        new = len(loop.dataloader)
        if rest or old == new:
            return
        loop._iter = loop.epoch * new
        runner.logger.info(
            f'an epoch has {new} iterations, but had {old} before: training '
            f'continues at iteration {loop.iter}'
        )


def _all(runner: Runner) -> Iterator[Any]:
    found = runner.param_schedulers or []
    lists = found.values() if isinstance(found, dict) else [found]
    for schedulers in lists:
        yield from schedulers


def _optimizers(runner: Runner) -> list[Any]:
    unique = {id(s.optimizer): s.optimizer for s in _all(runner)}
    return list(unique.values())


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {
        key: deepcopy(value)
        for key, value in group.items()
        if key not in _KERNELS
    }


def _fixed(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.items() if k not in _PROGRESS}


def _rates(optimizer: Any) -> list[float]:
    return [group['lr'] for group in optimizer.param_groups]


def _text(rates: list[list[float]]) -> str:
    values = sorted({rate for group in rates for rate in group})
    return ' to '.join(
        f'{v:.4g}' for v in dict.fromkeys((values[0], values[-1]))
    )


def _run_again(runner: Runner, schedulers: list[Any]) -> None:
    """Step as often as a training that had come here would have."""
    loop = runner.train_loop
    total, epochs = runner.iter, runner.epoch
    length = total
    if isinstance(loop, EpochBasedTrainLoop) and epochs:
        length = len(loop.dataloader)
    with warnings.catch_warnings():
        # The optimizer, which has just been loaded, has taken no step yet.
        warnings.simplefilter('ignore', UserWarning)
        for step in range(1, total + 1):
            is_end = step % length == 0 and step // length <= epochs
            for scheduler in schedulers:
                if not scheduler.by_epoch or is_end:
                    scheduler.step()
