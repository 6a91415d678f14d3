"""What the validations of a training saw, kept for its end."""

import time
from typing import Any

import numpy as np
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from lvt_dense.analysis.recording import Recorder
from lvt_dense.registry import HOOKS

# Images of which predictions are kept; label maps take more time and memory.
OBJECTS, MAPS = 2000, 300


@HOOKS.register_module()
class ValidationHook(Hook):
    """Keep the metrics of all validations, and the predictions of the best.

    Attributes:
        metric: Name of the metric by which the best checkpoint is kept, else
            of the first one.
        curve: Epoch and value of each validation.
        recorder: Predictions of the best validation.
        seconds: What one image took in the last validation.
        is_greater: Whether more of the metric is better.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.metric: str | None = None
        self.curve: list[tuple[float, float]] = []
        self.recorder: Recorder | None = None
        self.seconds = 0.0
        self.is_greater = True
        self._best: list[dict] = []
        self._start = 0.0

    def before_train(self, runner: Runner) -> None:
        """Join the metrics of the validation."""
        loop = runner.val_loop
        if loop is None:
            return
        dataset = loop.dataloader.dataset
        is_semantic = 'seg_map_path' in dataset.get_data_info(0)
        limit = MAPS if is_semantic else OBJECTS
        self.recorder = Recorder(
            dataset, loop.evaluator, every=-(-len(dataset) // limit)
        )

    def before_val_epoch(self, runner: Runner) -> None:
        """Take the time."""
        self._start = time.perf_counter()

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Keep the value, and the predictions if it is the best so far."""
        loop = runner.val_loop
        count = max(len(loop.dataloader.dataset), 1)
        self.seconds = (time.perf_counter() - self._start) / count
        if self.metric is None:
            self._choose_metric(runner, metrics or {})
        value = (metrics or {}).get(self.metric or '')
        if value is None or not np.isfinite(value):
            return
        values = [v for _, v in self.curve]
        better = max if self.is_greater else min
        is_best = not values or (
            value not in values and better([*values, value]) == value
        )
        self.curve.append((_epoch(runner), float(value)))
        if self.recorder is None:
            return
        if is_best:
            self._best = self.recorder.samples
        self.recorder.samples = self._best

    def _choose_metric(self, runner: Runner, metrics: dict[str, Any]) -> None:
        for hook in runner.hooks:
            names = getattr(hook, 'key_indicators', None)
            if isinstance(hook, CheckpointHook) and names:
                self.is_greater = hook.rules[0] != 'less'
                if names[0] in metrics:
                    self.metric = names[0]
        self.metric = self.metric or next(iter(metrics), None)


def _epoch(runner: Runner) -> float:
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        return runner.epoch
    length = max(len(loop.dataloader), 1)
    return round(runner.iter / length, 1)
