"""Early stopping on the metric by which the best checkpoint is kept."""

from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner

from lvt_dense.registry import HOOKS

AUTO = 'auto'


@HOOKS.register_module()
class PatienceHook(EarlyStoppingHook):
    """MMEngine's early stopping, which can choose its metric by itself.

    Args:
        monitor: Name of the metric; ``auto`` takes the first one of the first
            validation, as ``save_best='auto'`` does.
        patience: Validations in a row without a better value.
        rule: ``greater`` or ``less`` is better.
        min_delta: Least difference that counts as better, in the unit of the
            metric.
        **kwargs: Other arguments of ``EarlyStoppingHook``.
    """

    monitor: str

    def __init__(
        self,
        monitor: str = AUTO,
        patience: int = 5,
        rule: str = 'greater',
        min_delta: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, rule, min_delta, patience=patience, **kwargs)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Count a validation, and stop the training when it is the last."""
        if self.monitor == AUTO and metrics:
            self.monitor = next(iter(metrics))
        super().after_val_epoch(runner, metrics)
