"""Log the losses of all steps without waiting for each."""

from typing import Any

import torch
from mmengine.hooks import CheckpointHook, LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from lvt_dense.registry import HOOKS

_MOST_STEPS = 50  # kept at most


@HOOKS.register_module()
class LazyRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, which fetches losses when they are logged.

    MMEngine copies every loss to the host after every step, and so waits for
    the GPU, which then waits for the next step. Here the losses of the steps
    between two lines of the log are fetched together. The log is the same.
    """

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []
        self._intervals: set[int] = set()

    def before_train(self, runner: Runner) -> None:
        """Read how often the losses are logged and saved."""
        super().before_train(runner)
        self._intervals = {_MOST_STEPS} | {
            hook.interval
            for hook in runner.hooks
            if isinstance(hook, LoggerHook)
            or (isinstance(hook, CheckpointHook) and not hook.by_epoch)
        }

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Keep the losses of a step; fetch them before they are logged."""
        self._steps.append(
            {
                name: value.detach() if isinstance(value, Tensor) else value
                for name, value in (outputs or {}).items()
            }
        )
        is_due = any(
            self.every_n_inner_iters(batch_idx, interval)
            or self.every_n_train_iters(runner, interval)
            for interval in self._intervals
        )
        if is_due or self.end_of_epoch(runner.train_dataloader, batch_idx):
            self._fetch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Fetch the rest of an epoch."""
        self._fetch(runner)

    def before_val(self, runner: Runner) -> None:
        """Fetch the losses before a validation."""
        self._fetch(runner)
        super().before_val(runner)

    def after_train(self, runner: Runner) -> None:
        """Fetch the last losses."""
        self._fetch(runner)
        super().after_train(runner)

    def _fetch(self, runner: Runner) -> None:
        steps, self._steps = self._steps, []
        tensors = [
            value
            for step in steps
            for value in step.values()
            if isinstance(value, Tensor)
        ]
        values = iter(_fetch_at_once(tensors))
        for step in steps:
            for name, value in step.items():
                number = next(values) if isinstance(value, Tensor) else value
                runner.message_hub.update_scalar(f'train/{name}', number)


def _fetch_at_once(tensors: list[Tensor]) -> list[float]:
    if not tensors:
        return []
    flat = [tensor.reshape(()).float() for tensor in tensors]
    return torch.stack(flat).tolist()
