"""The pace of a run whose length changes."""

import pytest

from lvt_dense.engine.pace import Pace, count_updates, next_check


def test_unchanged_run_takes_step_by_step() -> None:
    pace = Pace(50)
    assert [pace.position(i) for i in range(51)] == list(range(51))


@pytest.mark.parametrize('total', [11, 30, 50, 400])
def test_any_length_ends_at_the_end(total: int) -> None:
    pace = Pace(100)
    pace.refit(10, total)
    steps = [pace.position(i) for i in range(10, total + 1)]
    assert steps[0] == 10 and steps[-1] == 100
    assert steps == sorted(steps)
    pace.refit(total - 1, total + 5)
    assert pace.position(total + 5) == 100


def test_refits_follow_each_other() -> None:
    pace = Pace(100)
    pace.refit(20, 60)  # two steps an update
    assert pace.position(30) == 40
    pace.refit(30, 150)  # one step in two updates
    assert (pace.position(30), pace.position(90)) == (40, 70)


def test_resumed_run_goes_on_from_its_step() -> None:
    pace = Pace(100, done=30, position=60)
    assert (pace.position(30), pace.position(100)) == (60, 100)


def test_updates_beside_validations() -> None:
    assert count_updates(100, 0.5, 5, 4) == 160
    assert count_updates(-3, 0.5, 5, 4) == 1


def test_clock_is_watched_at_both_ends() -> None:
    done, checks = 4, []
    while done < 1000:
        done = next_check(done, 1000)
        checks.append(done)
    assert checks[:3] == [8, 16, 32]
    assert max(b - a for a, b in zip(checks, checks[1:])) == 100
    assert checks[-2] == 999 and len(checks) < 30
