"""End a training in time, with its schedule at its end."""

import torch
from mmengine.dist import broadcast_object_list
from mmengine.hooks import CheckpointHook, ParamSchedulerHook
from mmengine.optim import _ParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner

from lvt_dense.engine.pace import Pace, count_updates, next_check
from lvt_dense.registry import HOOKS
from lvt_dense.utils import clock
from lvt_dense.utils.errors import UserError

FIRST = 4  # updates before the first look; the first ones are slower
TOLERANCE = 0.05  # share of the time by which an estimate may be off
SHARE = 0.25  # of the time that is left, for validations at most
CLOSING = (2.0, 0.02)  # seconds, and share of the time, for the end


@HOOKS.register_module()
class TimeLimitHook(ParamSchedulerHook):
    """Change the length of a training so that it ends in time.

    It takes the place of MMEngine's hook that steps the schedulers. The
    planned number of updates rests on an estimate, and other programs may
    slow the machine down. So the hook looks at the clock, often at the
    beginning and a tenth of the run apart later, and changes the number of
    updates where the end would come too early or too late. The schedulers
    then go through what is left of their schedule faster or slower, see
    :class:`.pace.Pace`: any shape of schedule reaches its end at the last
    update, from wherever it is, and a run that goes as planned is the planned
    one, step by step. Validations keep their number, unless they take too
    much of the time.

    Args:
        minutes: Time for all, from the start of the command; where the
            training is not started by a command, from the first update.
        validation: Estimated seconds of a validation.
        longest: Most updates that make sense; None sets no limit.
    """

    def __init__(
        self,
        minutes: float,
        validation: float = 0.0,
        longest: int | None = None,
    ) -> None:
        self.seconds = 60 * minutes
        self.validation = validation
        self.longest = longest

    def before_train(self, runner: Runner) -> None:
        """Start the clock.

        Raises:
            UserError: The training counts epochs.
        """
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            raise UserError(
                'TimeLimitHook needs a training that counts iterations: set '
                "train_cfg.type='IterBasedTrainLoop', as --minutes does"
            )
        begin, total = clock.take_start(), loop.max_iters
        if runner.iter:  # resumed: the time of what is left
            begin = clock.now() - self.seconds * runner.iter / total
        self._deadline = begin + self.seconds
        steps = [s.last_step for s in _schedulers(runner)]
        self._position = steps[0] if steps else runner.iter
        self._pace = Pace(total, runner.iter, self._position)
        self._validations = -(-(total - runner.iter) // loop.val_interval)
        self._first = runner.iter + 1
        self._check = runner.iter + FIRST
        self._mark(runner.iter)

    def _mark(self, done: int) -> None:
        """Begin to time updates."""
        self._since, self._done, self._spent = clock.now(), done, 0.0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, *args: object, **kwargs: object
    ) -> None:
        """Step the schedulers; look at the clock when it is time to."""
        done = runner.iter + 1
        if done == self._first:
            self._mark(done)  # it is slower than those that follow
        elif done >= self._check and done < self._pace.total:
            self._look(runner, done)
        target = self._pace.position(done)
        for _ in range(target - self._position):
            super().after_train_iter(runner, batch_idx)
        self._position = target

    def _look(self, runner: Runner, done: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        count = max(1, done - self._done)
        step = (clock.now() - self._since - self._spent) / count
        total, validations = self._plan(done, max(step, 1e-6))
        # Clocks differ between processes, and all must stop together.
        found = [total, validations]
        broadcast_object_list(found)
        total, validations = found
        if total != self._pace.total:
            runner.logger.info(
                f'time: {step:.3g} s per update, {self.validation:.3g} s per '
                f'validation: {total} updates instead of {self._pace.total}, '
                'to finish in time; the schedule is adapted'
            )
            self._pace.refit(done, total)
            self._validations = validations
            _set_length(runner, done, total, validations)
        self._mark(done)
        self._check = next_check(done, self._pace.total)

    def _plan(self, done: int, step: float) -> tuple[int, int]:
        """Return the updates in all, and the validations that are left."""
        fixed, share = CLOSING
        reserve = min(fixed + share * self.seconds, 0.1 * self.seconds)
        left = self._deadline - reserve - clock.now()
        count = max(1, self._validations)
        if self.validation:
            affordable = int(SHARE * left / self.validation)
            count = max(1, min(count, affordable))
        total = done + count_updates(left, step, self.validation, count)
        total = min(total, max(done + 1, self.longest or total))
        planned = self._pace.total
        is_kept = count == self._validations
        if is_kept and abs(total - planned) * step < (
            TOLERANCE * self.seconds
        ):
            return planned, count
        return total, count

    def before_val(self, runner: Runner) -> None:
        """Begin to time a validation."""
        self._val_since = clock.now()

    def after_val(self, runner: Runner) -> None:
        """Keep the time of a validation apart from that of updates."""
        self.validation = clock.now() - self._val_since
        self._spent += self.validation
        self._validations = max(0, self._validations - 1)


def _schedulers(runner: Runner) -> list[_ParamScheduler]:
    found = runner.param_schedulers or []
    if isinstance(found, dict):
        found = [item for items in found.values() for item in items]
    return [item for item in found if not item.by_epoch]


def _set_length(
    runner: Runner, done: int, total: int, validations: int
) -> None:
    """Set the end of a running loop, and its validations and checkpoints."""
    loop = runner.train_loop
    loop._max_iters = total
    interval = max(1, -(-(total - done) // max(validations, 1)))
    if validations == 1:
        interval = total  # the one at the end
    loop.val_interval = interval
    loop.dynamic_milestones, loop.dynamic_intervals = [0], [interval]
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and not hook.by_epoch:
            hook.interval = interval
