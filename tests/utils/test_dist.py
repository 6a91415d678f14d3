import pytest

from lvt_dense.utils.dist import RANK, count_processes, is_first_process


@pytest.mark.parametrize('launcher', RANK)
def test_rank_that_a_launcher_sets(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RANK[launcher], '0')
    assert is_first_process()
    monkeypatch.setenv(RANK[launcher], '3')
    assert not is_first_process()


def test_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SLURM_NTASKS', '8')
    assert count_processes('none') == 1
    assert count_processes('slurm') == 8
    assert count_processes('pytorch') == 1
