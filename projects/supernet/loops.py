"""Validation and testing of several sub-networks of a supernet."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.registry import LOOPS
from mmengine.runner import Runner, TestLoop, ValLoop

from lvt_dense.utils.errors import UserError

from .calibration import calibrate, draw_batches, name_subnets
from .model import Supernet

SUBNETS = ('min', 'max')
CALIBRATION_BATCHES = 16


class _Subnets:
    """Sub-networks that predict in turn.

    Args:
        runner: The runner.
        subnets: What :meth:`~.space.SearchSpace.find` takes.
        batches: Training batches for the batch statistics.
    """

    def __init__(
        self, runner: Runner, subnets: Sequence[Any], batches: int
    ) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if not isinstance(model, Supernet):
            raise UserError(
                f'SubnetValLoop and SubnetTestLoop are for a Supernet, and '
                f'the model is a {type(model).__name__}'
            )
        self.model = model
        self.runner = runner
        self.archs = {
            name: model.space.find(value)
            for name, value in name_subnets(subnets).items()
        }
        self.count = batches
        self._batches: list[Any] = []

    def activate(self) -> Iterator[str]:
        """Let the model predict with one after another; yield their names."""
        if not self._batches:
            seed = self.runner.seed or 0
            self._batches = draw_batches(self.runner.cfg, self.count, seed)
        for name, arch in self.archs.items():
            subnet = self.model.extract(arch)
            self.model.predict_with(calibrate(subnet, self._batches))
            yield name
        self.model.predict_with(None)

    def evaluate(self, loop: ValLoop | TestLoop, phase: str) -> dict:
        """Run a loop once for each; return the metrics of all.

        Args:
            loop: The loop.
            phase: ``val`` or ``test``, of which the hooks are called.
        """
        self.runner.call_hook(f'before_{phase}')
        self.runner.call_hook(f'before_{phase}_epoch')
        self.runner.model.eval()
        metrics = {}
        for name in self.activate():
            for index, batch in enumerate(loop.dataloader):
                loop.run_iter(index, batch)
            found = loop.evaluator.evaluate(len(loop.dataloader.dataset))
            metrics.update({f'{name}/{k}': v for k, v in found.items()})
        self.runner.call_hook(f'after_{phase}_epoch', metrics=metrics)
        self.runner.call_hook(f'after_{phase}')
        return metrics


@LOOPS.register_module()
class SubnetValLoop(ValLoop):
    """Validate sub-networks, each with batch statistics of its own.

    The metrics of each have its name before theirs, such as ``max/mIoU``.

    Args:
        runner: The runner.
        *args: As for MMEngine's ``ValLoop``.
        subnets: What :meth:`~.space.SearchSpace.find` takes.
        calibration_batches: Training batches for the batch statistics. They
            are drawn once and kept.
        **kwargs: As for ``ValLoop``.
    """

    def __init__(
        self,
        runner: Runner,
        *args: Any,
        subnets: Sequence[Any] = SUBNETS,
        calibration_batches: int = CALIBRATION_BATCHES,
        **kwargs: Any,
    ) -> None:
        super().__init__(runner, *args, **kwargs)
        self.subnets = _Subnets(runner, subnets, calibration_batches)

    def run(self) -> dict:
        """Validate and return all metrics."""
        return self.subnets.evaluate(self, 'val')


@LOOPS.register_module()
class SubnetTestLoop(TestLoop):
    """Test sub-networks, see :class:`SubnetValLoop`.

    Args:
        runner: See above, as all others.
        *args: As for MMEngine's ``TestLoop``.
        subnets: See above.
        calibration_batches: See above.
        **kwargs: As for ``TestLoop``.
    """

    def __init__(
        self,
        runner: Runner,
        *args: Any,
        subnets: Sequence[Any] = SUBNETS,
        calibration_batches: int = CALIBRATION_BATCHES,
        **kwargs: Any,
    ) -> None:
        super().__init__(runner, *args, **kwargs)
        self.subnets = _Subnets(runner, subnets, calibration_batches)

    def run(self) -> dict:
        """Test and return all metrics."""
        return self.subnets.evaluate(self, 'test')
