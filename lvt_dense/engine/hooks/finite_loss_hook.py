"""Stop on a loss that is not finite, or skip the batch."""

import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from lvt_dense.registry import HOOKS
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically


def parse_on_nan(value: str) -> int:
    """Parse ``stop`` or ``skip:N``.

    Returns:
        How many batches may be skipped; 0 for ``stop``.

    Raises:
        UserError: It is neither.
    """
    if value == 'stop':
        return 0
    match = re.fullmatch(r'skip:([1-9]\d*)', str(value))
    if match is None:
        raise UserError(
            f'--on-nan {value}: give stop, or skip:N to go on without the '
            'batch up to N times'
        )
    return int(match.group(1))


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop on a loss that is not finite, or skip the batch.

    It looks at the loss before the gradients are computed, so the weights
    stay as they were; so do the statistics of batch norms when a batch is
    skipped. The names of the batch's images go to
    ``<work_dir>/not_finite.json``, one entry a batch, and weights that are
    not finite are never saved.

    Several processes act as one: a bad loss in any of them counts for all.

    A GPU is not waited for where the training would stop: the optimizer skips
    the update by itself, and the loss is looked at one step later. With
    ``skip:N`` every step waits, to put the statistics back.

    Args:
        on_nan: ``stop``, or ``skip:N`` to leave out up to N batches.
    """

    priority = 'VERY_HIGH'

    def __init__(self, on_nan: str = 'stop') -> None:
        self.allowed = parse_on_nan(on_nan)
        self.entries: list[dict] = []
        self._batch: Any = None
        self._losses: dict[str, Tensor] = {}
        self._buffers: list[Tensor] = []
        self._backup: list[Tensor] = []
        self._replaced: list[tuple[Any, str]] = []
        self._pending: _Verdict | None = None

    def before_train(self, runner: Runner) -> None:
        """Put the check between the loss and the optimizer."""
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        if self.allowed:
            self._buffers = list(model.buffers())
            self._backup = [buffer.clone() for buffer in self._buffers]
        self._replace(model, 'parse_losses', self._note_losses)
        wrappers = runner.optim_wrapper
        if isinstance(wrappers, OptimWrapper):
            wrappers = {'': wrappers}
        for wrapper in wrappers.values():
            self._guard(runner, wrapper)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Note the batch, and the statistics before it."""
        self._batch = data_batch
        if self._buffers:
            torch._foreach_copy_(self._backup, self._buffers)

    def after_train_epoch(self, runner: Runner) -> None:
        """Look at the last loss of an epoch."""
        self._look_back(runner)

    def before_val(self, runner: Runner) -> None:
        """Look at the last loss before a validation."""
        self._look_back(runner)

    def after_train(self, runner: Runner) -> None:
        """Look at the last loss, and take the check out again."""
        self._look_back(runner)
        for owner, name in self._replaced:
            delattr(owner, name)
        self._replaced.clear()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep weights that are not finite from replacing good ones.

        Raises:
            UserError: There are some, or the last loss was not finite.
        """
        self._look_back(runner)
        for name, value in checkpoint['state_dict'].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise UserError(
                    f'{name} is not finite at iteration {runner.iter}, so no '
                    'checkpoint is written: lower the learning rate or clip '
                    'the gradients, and go on from the last one with --resume'
                )

    def _note_losses(self, parse: Callable, losses: dict) -> tuple:
        total, values = parse(losses)
        self._losses = values
        return total, values

    def _guard(self, runner: Runner, wrapper: OptimWrapper) -> None:
        def update_params(
            update: Callable, loss: Tensor, *args: Any, **kwargs: Any
        ) -> None:
            self._look_back(runner)
            bad = ~loss.detach().isfinite().all()
            if not self.allowed and _can_skip_alone(wrapper, loss.device):
                call = functools.partial(update, loss, *args, **kwargs)
                self._update_if_finite(runner, wrapper, call, bad)
            elif bool(_is_anywhere(bad)):
                self._report(runner, self._note(runner))
                if self._buffers:
                    torch._foreach_copy_(self._buffers, self._backup)
                _leave_out(wrapper)
            else:
                update(loss, *args, **kwargs)

        self._replace(wrapper, 'update_params', update_params)

    def _update_if_finite(
        self,
        runner: Runner,
        wrapper: OptimWrapper,
        update: Callable[[], None],
        bad: Tensor,
    ) -> None:
        """Update the weights unless the loss is bad, which the GPU decides."""
        bad = _is_anywhere(bad)
        self._pending = _Verdict(bad, self._note(runner))
        if isinstance(wrapper, AmpOptimWrapper):
            update()  # skips what is not finite in any case
            return
        wrapper.optimizer.found_inf = bad.float()
        try:
            update()
        finally:
            del wrapper.optimizer.found_inf

    def _look_back(self, runner: Runner) -> None:
        """Report the loss of the step before, if it was not finite."""
        pending, self._pending = self._pending, None
        if pending is not None and pending.is_bad():
            self._report(runner, pending.note)

    def _note(self, runner: Runner) -> '_Note':
        losses = {
            name: torch.as_tensor(value).detach()
            for name, value in self._losses.items()
        }
        return _Note(runner.iter + 1, runner.epoch + 1, losses, self._batch)

    def _replace(self, owner: Any, name: str, function: Callable) -> None:
        """Replace a method by a function that is given the method first."""
        setattr(owner, name, functools.partial(function, getattr(owner, name)))
        self._replaced.append((owner, name))

    def _report(self, runner: Runner, note: '_Note') -> None:
        """Write a batch down, and stop if there were too many.

        Raises:
            UserError: There were.
        """
        named = all_gather_object(list(_find_images(note.batch)))
        images = sorted({path for names in named for path in names})
        values = {
            name: value.item()
            for name, value in note.losses.items()
            if value.numel() == 1
        }
        bad = [k for k, v in values.items() if not math.isfinite(v)]
        entry = dict(
            iteration=note.iteration,
            epoch=note.epoch,
            losses={name: str(value) for name, value in values.items()},
            images=images,
        )
        self.entries.append(entry)
        path = Path(runner.work_dir, 'not_finite.json')
        if runner.rank == 0:
            text = json.dumps(self.entries, indent=1)
            write_atomically(path, text + '\n')
        parts = [name for name in bad if name != 'loss'] or bad
        message = (
            f'{", ".join(parts) or "the loss"} of iteration {note.iteration} '
            'is not finite'
        )
        if len(self.entries) > self.allowed:
            count = len(self.entries)
            again = f', after {count - 1} before it' if count > 1 else ''
            raise UserError(
                f'{message}{again}; the weights are left as they were, and '
                f'the names of the images of the batch are in {path}. Look '
                'at their annotations, lower the learning rate or clip the '
                'gradients; --on-nan skip:N leaves out up to N such batches'
            )
        runner.logger.warning(
            f'{message}: the batch is left out '
            f'({len(self.entries)} of {self.allowed}), its images are in '
            f'{path}'
        )


class _Note(NamedTuple):
    """What is reported of a step."""

    iteration: int
    epoch: int
    losses: dict[str, Tensor]
    batch: Any


class _Verdict:
    """Whether a loss was bad, on its way from the GPU."""

    def __init__(self, bad: Tensor, note: _Note) -> None:
        self.note = note
        self._bad = bad.to('cpu', non_blocking=True)
        self._event = torch.cuda.Event() if bad.is_cuda else None
        if self._event is not None:
            self._event.record()

    def is_bad(self) -> bool:
        """Wait for the answer, which one step later is there."""
        if self._event is not None:
            self._event.synchronize()
        return bool(self._bad)


def _is_anywhere(flag: Tensor) -> Tensor:
    """Whether a flag is set in any of the processes, on its device."""
    if get_world_size() == 1:
        return flag
    value = flag.float()
    all_reduce(value, 'max')
    return value > 0


def _needs_wait(device: torch.device) -> bool:
    """Whether reading a number from a device waits for what it computes."""
    return device.type != 'cpu'


def _can_skip_alone(wrapper: OptimWrapper, device: torch.device) -> bool:
    """Whether an optimizer leaves an update out without asking the host."""
    if not _needs_wait(device) or wrapper._accumulative_counts > 1:
        return False
    optimizer = wrapper.optimizer
    return isinstance(wrapper, AmpOptimWrapper) or (
        getattr(optimizer, '_step_supports_amp_scaling', False)
        and all(group.get('fused') for group in optimizer.param_groups)
    )


def _leave_out(wrapper: OptimWrapper) -> None:
    """Count a batch as done without its gradients.

    Gradients of the other batches that are accumulated with it are used.
    """
    wrapper._inner_count += 1
    if wrapper.should_update() and any(
        parameter.grad is not None
        for group in wrapper.param_groups
        for parameter in group['params']
    ):
        wrapper.step()
        wrapper.zero_grad()


def _find_images(node: Any) -> Iterator[str]:
    """Yield the paths of the images in a batch, however it is nested."""
    path = getattr(node, 'img_path', None)
    if isinstance(path, str):
        yield path
    elif isinstance(node, dict):
        yield from _find_images_in(node.values())
    elif isinstance(node, (list, tuple)):
        yield from _find_images_in(node)


def _find_images_in(nodes: Iterable) -> Iterator[str]:
    for node in nodes:
        yield from _find_images(node)
