"""A training that ends in time, by a clock of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_training import log_of, run_tiny
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from lvt_dense.engine.hooks.time_limit_hook import CLOSING
from lvt_dense.utils import clock
from lvt_dense.utils.errors import UserError

PLANNED = 100
END = 1e-4  # of a rate of 0.1: the last step of a cosine is not its end
SECONDS = 120  # one an update, and some for validations


@HOOKS.register_module(force=True)
class SpendHook(Hook):
    """Lets the clock go on: so much an update, so much a validation."""

    time = 0.0
    update: Callable[[int], float] = staticmethod(lambda i: 1.0)
    validation = 1.0
    validated: list[int] = []

    def before_train_iter(self, runner: Runner, *args: Any, **kw: Any) -> None:
        type(self).time += type(self).update(runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        type(self).time += self.validation
        self.validated.append(runner.iter)


@pytest.fixture(autouse=True)
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SpendHook, 'time', 0.0)
    monkeypatch.setattr(SpendHook, 'validated', [])
    monkeypatch.setattr(clock, 'now', lambda: SpendHook.time)
    yield


def train(
    folder: Path,
    update: Callable[[int], float],
    validation: float = 1.0,
    resume: bool = False,
    **options: Any,
) -> tuple[int, float]:
    """Return the updates that were made, and the rate after the last."""
    SpendHook.update, SpendHook.validation = staticmethod(update), validation
    clock.start()
    hook = dict(
        type='lvt_dense.TimeLimitHook',
        minutes=SECONDS / 60,
        validation=1.0,
        **options,
    )
    rates, group = run_tiny(
        folder,
        1,
        resume,
        train_cfg=dict(
            _delete_=True,
            type='IterBasedTrainLoop',
            max_iters=PLANNED,
            val_interval=25,
        ),
        train_dataloader=dict(sampler=dict(type='InfiniteSampler')),
        val_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=dict(type='TinyDataset'),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_cfg=dict(),
        val_evaluator=dict(type='TinyMetric'),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=10),
            dict(
                type='CosineAnnealingLR',
                T_max=PLANNED - 10,
                by_epoch=False,
                begin=10,
                end=PLANNED,
            ),
        ],
        default_hooks=dict(
            param_scheduler=hook,
            checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=25
            ),
        ),
        custom_hooks=[dict(type='RateHook'), dict(type='SpendHook')],
        log_processor=dict(by_epoch=False),
    )
    return max(rates) + 1, group['lr']


def test_run_as_planned_stays_as_planned(tmp_path: Path) -> None:
    count, rate = train(tmp_path, lambda i: 1.08)
    assert (count, rate) == (PLANNED, pytest.approx(0, abs=END))
    assert SpendHook.validated == [25, 50, 75, 100]
    assert 'updates instead of' not in log_of(tmp_path)


@pytest.mark.parametrize(
    'update',
    [
        pytest.param(lambda i: 3.0, id='slow'),
        pytest.param(lambda i: 0.2, id='fast'),
        pytest.param(lambda i: 1.0 if i < 40 else 4.0, id='disturbed'),
        pytest.param(lambda i: 10.0 if i == 0 else 1.0, id='slow start'),
    ],
)
def test_ends_in_time_at_the_end_of_the_schedule(
    tmp_path: Path, update: Callable[[int], float]
) -> None:
    count, rate = train(tmp_path, update)
    assert 0.85 * SECONDS < SpendHook.time <= 1.02 * SECONDS
    assert rate == pytest.approx(0, abs=END)
    assert SpendHook.validated[-1] == count
    assert len(SpendHook.validated) >= 3
    assert (tmp_path / f'iter_{count}.pth').is_file()


def test_slow_validations_become_fewer(tmp_path: Path) -> None:
    count, rate = train(tmp_path, lambda i: 1.0, validation=30.0)
    assert SpendHook.time <= 1.1 * SECONDS
    assert SpendHook.validated[-1] == count
    assert len(SpendHook.validated) < 4
    assert rate == pytest.approx(0, abs=END)


def test_no_longer_than_makes_sense(tmp_path: Path) -> None:
    count, rate = train(tmp_path, lambda i: 0.3, longest=150)
    assert count == 150
    assert rate == pytest.approx(0, abs=END)


def test_time_of_the_command_counts_from_its_start(tmp_path: Path) -> None:
    SpendHook.time = 1000.0
    count, _ = train(tmp_path, lambda i: 1.0)
    fixed, share = CLOSING
    spent = SpendHook.time - 1000 + fixed + share * SECONDS
    assert spent == pytest.approx(SECONDS, rel=0.06)
    assert count > PLANNED


def test_loop_of_epochs_is_refused(tmp_path: Path) -> None:
    hook = dict(type='lvt_dense.TimeLimitHook', minutes=1)
    with pytest.raises(UserError, match="set train_cfg.type='IterBased"):
        run_tiny(tmp_path, 1, default_hooks=dict(param_scheduler=hook))
