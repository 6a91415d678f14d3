"""Comparisons of several runs."""

from pathlib import Path

from lvt_dense.apis.compare import _names
from lvt_dense.apis.report import Run


def test_runs_of_one_name_are_told_apart() -> None:
    def run(name: str, folder: str) -> Run:
        return Run(name, None, Path(folder), folder)

    runs = [run('predictions', 'a'), run('predictions', 'b'), run('c', 'b')]
    assert _names(runs) == ['a/predictions', 'b/predictions', 'c']
    same = [run('predictions', 'a'), run('predictions', 'a')]
    assert _names(same) == ['a/predictions (1)', 'a/predictions (2)']
