"""The evolutionary search, on made-up costs and metrics."""

import json
from pathlib import Path

import pytest
from supernet.search import Plan, Search, find_front
from supernet.space import KEYS, Arch, SearchSpace

from lvt_dense.utils.errors import UserError

SPACE = SearchSpace()


def cost(arch: Arch) -> float:
    """A number that every choice adds to: 0.85 to 2.16."""
    assert arch.keys() == SPACE.smallest.keys()  # what NASViT takes
    return sum(sum(arch[key]) for key in KEYS) / 100 - 26


def metric(arch: Arch) -> dict[str, float]:
    return dict(good=10 * sum(arch['depth']) - sum(arch['width'][4:8]) / 10)


def make_search(folder: Path, budget: float = 1.5, **kwargs) -> Search:
    plan = Plan((budget,), 'gmacs', 'good', population=6, **kwargs)
    return Search(SPACE, plan, cost, metric, folder)


def test_later_generations_are_better(tmp_path: Path) -> None:
    search = make_search(tmp_path, generations=8)
    (pick,) = search.run()
    drawn = search.state.drawn
    best = [
        max(search.state.entries[key]['metrics']['good'] for key in keys)
        for keys in drawn.values()
    ]
    assert max(best[4:]) > best[0]
    assert pick['metrics']['good'] == max(best)
    costs = [search.state.costs[k] for keys in drawn.values() for k in keys]
    assert all(0.9 * 1.5 <= c <= 1.5 for c in costs)
    assert len({k for keys in drawn.values() for k in keys}) == 6 * 8


def test_interrupted_search_finds_the_same(tmp_path: Path) -> None:
    whole = make_search(tmp_path / 'whole', generations=4)
    picks = whole.run()
    search = make_search(tmp_path / 'parts', generations=4)
    evaluations = 0

    def evaluate(arch: Arch) -> dict[str, float]:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 12:
            raise KeyboardInterrupt
        return metric(arch)

    search._evaluate = evaluate
    with pytest.raises(KeyboardInterrupt):
        search.run()
    again = make_search(tmp_path / 'parts', generations=4)
    assert len(again.state.entries) == 11
    assert json.dumps(again.run()) == json.dumps(picks)
    assert again.state.drawn == whole.state.drawn


def test_measured_costs_are_predicted(tmp_path: Path) -> None:
    measured = []

    def measure(arch: Arch) -> float:
        measured.append(arch)
        return 5 * cost(arch) + 1

    plan = Plan((8.0,), 'ms', 'good', population=12, generations=2)
    search = Search(SPACE, plan, cost, metric, tmp_path)
    search.measure(measure)
    search.run()
    # Most of what is measured is also within the budget.
    assert len(measured) < 4 * 24


def test_front_has_what_nothing_beats() -> None:
    entries = [
        dict(cost=c, metrics=dict(m=m))
        for c, m in ((1, 5), (2, 4), (2, 6), (3, 6), (4, 9))
    ]
    front = [(e['cost'], e['metrics']['m']) for e in find_front(entries, 'm')]
    assert front == [(1, 5), (2, 6), (4, 9)]


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no sub-network costs 9'):
        make_search(tmp_path, budget=9.0).run()
    make_search(tmp_path, generations=1).run()
    with pytest.raises(UserError, match='seed=0, and this one has 1'):
        make_search(tmp_path, seed=1)
    with pytest.raises(UserError, match='positive budget'):
        Plan((), 'gmacs', 'good')
    (tmp_path / 'search.json').write_text('[')
    with pytest.raises(UserError, match='no state of a search'):
        make_search(tmp_path)
