"""A training that goes on follows the schedule of its config."""

from pathlib import Path

import pytest
from helpers.commands import skip_beautifier
from helpers.tiny_training import log_of
from helpers.tiny_training import run_tiny as run

from lvt_dense.utils.errors import UserError


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


def test_a_longer_schedule_is_followed(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / 'whole', 6)
    run(tmp_path / 'parts', 2)
    rest, _ = run(tmp_path / 'parts', 6, resume=True)
    assert list(rest) == list(range(6, 18))
    for step, rate in rest.items():
        assert rate == pytest.approx(whole[step])
    log = log_of(tmp_path / 'parts')
    assert f'is used from here: learning rate {whole[6]:.4g} instead' in log


def test_the_same_schedule_is_left_alone(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / 'whole', 3)
    (tmp_path / 'whole/epoch_3.pth').unlink()
    rest, _ = run(tmp_path / 'whole', 3, resume=True)
    assert rest == {step: whole[step] for step in (6, 7, 8)}
    assert 'is used from here' not in log_of(tmp_path / 'whole')


def test_settings_of_the_optimizer_follow(tmp_path: Path) -> None:
    changes = {
        'optim_wrapper.optimizer.lr': 0.2,
        'optim_wrapper.optimizer.weight_decay': 0.5,
    }
    whole, _ = run(tmp_path / 'whole', 2, **changes)
    run(tmp_path / 'parts', 1, **{'param_scheduler.1.T_max': 2})
    rest, group = run(tmp_path / 'parts', 2, resume=True, **changes)
    assert rest == pytest.approx({step: whole[step] for step in (3, 4, 5)})
    assert group['weight_decay'] == 0.5
    assert 'weight_decay 0.5, and not 0.01' in log_of(tmp_path / 'parts')


def test_an_epoch_of_another_length(tmp_path: Path) -> None:
    changes = {'train_dataloader.batch_size': 1}
    whole, _ = run(tmp_path / 'whole', 2, **changes)
    run(tmp_path / 'parts', 1)
    rest, _ = run(tmp_path / 'parts', 2, resume=True, **changes)
    assert rest == pytest.approx({step: whole[step] for step in range(6, 12)})
    log = log_of(tmp_path / 'parts')
    assert 'an epoch has 6 iterations, but had 3 before' in log


def test_other_classes_are_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    with pytest.raises(
        UserError, match='classes a, b, and the data have b, a'
    ):
        run(
            tmp_path,
            2,
            resume=True,
            **{'train_dataloader.dataset.classes': ('b', 'a')},
        )


def test_nothing_is_left(tmp_path: Path) -> None:
    run(tmp_path, 2)
    rates, _ = run(tmp_path, 2, resume=True)
    assert not rates
    said = 'epoch_2.pth has done 2 epochs, 6 iterations; give more --epochs'
    assert said in log_of(tmp_path)
