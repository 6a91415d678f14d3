"""Evolutionary search for sub-networks under a budget."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import read_text, write_atomically

from .figures import save_figure
from .space import Arch, SearchSpace, identify

STATE = 'search.json'
PICKS = 'subnets.json'
PICTURE = 'pareto.png'
TRIES = 2000  # of a candidate within the budget
FITTED = 8  # costs from which others are predicted, where they are measured
SLACK = 1.25  # of a prediction


@dataclass(frozen=True)
class Plan:
    """Settings of a search.

    Attributes:
        budgets: Largest costs, one search each.
        unit: ``gmacs`` or ``ms``.
        metric: What is to be large.
        fullness: Least cost of a candidate, as a share of the budget.
        population: Candidates of a generation.
        generations: Generations; the first one is random.
        parents: Best candidates that children are made from.
        mutation: Probability that a choice is drawn anew.
        seed: Of all random choices.
    """

    budgets: tuple[float, ...]
    unit: str
    metric: str
    fullness: float = 0.9
    population: int = 16
    generations: int = 6
    parents: int = 6
    mutation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('population', 'generations', 'parents'):
            if getattr(self, name) < 1:
                raise UserError(f'search: {name} has to be 1 or more')
        if not self.budgets or min(self.budgets) <= 0:
            raise UserError('search: give a positive budget')


@dataclass
class State:
    """What a search has found; written after each candidate.

    Attributes:
        plan: Settings that the rest depends on.
        costs: Cost of sub-networks that were looked at, by their identity.
        entries: Evaluated sub-networks: arch, cost, metrics.
        drawn: Candidates by budget and generation.
        notes: What else has to stay the same in a resumed search.
    """

    plan: dict[str, Any]
    costs: dict[str, float] = field(default_factory=dict)
    entries: dict[str, dict] = field(default_factory=dict)
    drawn: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, plan: Plan) -> 'State':
        """Read the state of a search that goes on, or make a new one.

        Raises:
            UserError: The file is of a search with other settings.
        """
        settings = json.loads(json.dumps(asdict(plan)))
        if not path.exists():
            return cls(settings)
        try:
            state = cls(**json.loads(read_text(path)))
        except (TypeError, ValueError) as error:
            raise UserError(
                f'{path} is no state of a search: {error}'
            ) from error
        # More generations or budgets go on where fewer ended.
        loose = ('budgets', 'generations')
        for key in settings:
            if key not in loose and state.plan.get(key) != settings[key]:
                raise UserError(
                    f'{path} is of a search with {key}='
                    f'{state.plan.get(key)!r}, and this one has '
                    f'{settings[key]!r}; give another --out'
                )
        state.plan = settings
        return state

    def write(self, path: Path) -> None:
        """Write the state."""
        write_atomically(path, json.dumps(asdict(self)) + '\n', sync=False)


class Search:
    """An evolutionary search.

    Candidates cost between ``fullness`` and all of the budget. The first
    generation is random; the children of later ones are mutations and
    crossings of the best candidates so far, half and half (the operators of
    the paper's code, whose search itself is not published).

    Args:
        space: The search space.
        plan: Settings.
        cost: Cost of a sub-network in the plan's unit.
        evaluate: Metrics of a sub-network.
        folder: Folder of the files; a search that is in it goes on.
    """

    def __init__(
        self,
        space: SearchSpace,
        plan: Plan,
        cost: Callable[[Arch], float],
        evaluate: Callable[[Arch], dict[str, float]],
        folder: str | Path,
    ) -> None:
        self.space = space
        self.plan = plan
        self._cost = cost
        self._evaluate = evaluate
        self.path = Path(folder, STATE)
        self.state = State.open(self.path, plan)
        self._size: Callable[[Arch], float] | None = None
        self._sizes: dict[str, float] = {}

    def measure(self, cost: Callable[[Arch], float]) -> None:
        """Take costs that are measured, and predict them from the given ones.

        Args:
            cost: What replaces the cost so far, which it has to grow with.
        """
        self._size, self._cost = self._cost, cost

    def run(self) -> list[dict]:
        """Search.

        Returns:
            The best sub-network of each budget: arch, cost, metrics.

        Raises:
            UserError: A budget is out of the range of the space.
        """
        plan = self.plan
        ends = [self.space.smallest, self.space.largest]
        total = plan.population * plan.generations * len(plan.budgets) + 2
        with tqdm(total=total, desc='Search') as bar:
            for arch in ends:
                self.cost(arch)
                self._visit(arch, bar)
            for budget in plan.budgets:
                self._check_budget(budget)
                for generation in range(plan.generations):
                    self._run_generation(budget, generation, bar)
        self.state.write(self.path)
        return [self.best(budget) for budget in plan.budgets]

    def cost(self, arch: Arch) -> float:
        """Return the cost of a sub-network, which is found once."""
        key = identify(arch)
        if key not in self.state.costs:
            self.state.costs[key] = self._cost(arch)
        return self.state.costs[key]

    def best(self, budget: float) -> dict:
        """Return the best candidate within a budget."""
        within = [
            entry
            for entry in self.state.entries.values()
            if self._fits(entry['cost'], budget)
        ]
        return dict(max(within, key=self._merit), budget=budget)

    def _merit(self, entry: dict) -> float:
        return entry['metrics'][self.plan.metric]

    def _fits(self, cost: float, budget: float) -> bool:
        return self.plan.fullness * budget <= cost <= budget

    def _check_budget(self, budget: float) -> None:
        low, high = map(self.cost, (self.space.smallest, self.space.largest))
        if budget < low or budget * self.plan.fullness > high:
            raise UserError(
                f'search: no sub-network costs {budget:g} {self.plan.unit}; '
                f'they cost {low:.4g} (smallest) to {high:.4g} (largest)'
            )

    def _run_generation(
        self, budget: float, generation: int, bar: tqdm
    ) -> None:
        keys = self.state.drawn.setdefault(f'{budget:g}/{generation}', [])
        parents = self._parents(budget, generation)
        while len(keys) < self.plan.population:
            words = (self.plan.seed, f'{budget:g}', generation, len(keys))
            rng = random.Random('-'.join(map(str, words)))
            arch = self._draw(budget, parents, rng)
            keys.append(identify(arch))
        for key in keys:
            self._visit(json.loads(key), bar)

    def _parents(self, budget: float, generation: int) -> list[Arch]:
        """The best candidates of the generations before."""
        keys = {
            key
            for before in range(generation)
            for key in self.state.drawn[f'{budget:g}/{before}']
        }
        entries = [self.state.entries[key] for key in sorted(keys)]
        entries.sort(key=self._merit, reverse=True)
        return [entry['arch'] for entry in entries[: self.plan.parents]]

    def _draw(
        self, budget: float, parents: list[Arch], rng: random.Random
    ) -> Arch:
        """Draw a candidate within the budget that is new, if it can be."""
        known = {key for keys in self.state.drawn.values() for key in keys}
        spare = None
        for _ in range(TRIES):
            arch = self._propose(parents, rng)
            if not self._may_fit(arch, budget):
                continue
            if not self._fits(self.cost(arch), budget):
                continue
            if identify(arch) not in known:
                return arch
            spare = arch
        if spare is None:
            raise UserError(
                f'search: no candidate of {TRIES} costs '
                f'{self.plan.fullness * budget:.4g} to {budget:.4g} '
                f'{self.plan.unit}; give another budget'
            )
        return spare

    def _propose(self, parents: list[Arch], rng: random.Random) -> Arch:
        space = self.space
        if not parents:
            # Shares of the ends reach costs that free choices rarely have.
            arch = space.sample(rng)
            for end in (space.smallest, space.largest):
                if rng.random() < 0.5:
                    arch = space.cross(arch, end, rng)
            return arch
        if rng.random() < 0.5 or len(parents) < 2:
            return space.mutate(rng.choice(parents), rng, self.plan.mutation)
        return space.cross(*rng.sample(parents, 2), rng)

    def _may_fit(self, arch: Arch, budget: float) -> bool:
        """Whether a cost that is yet to be measured may be in the budget."""
        key = identify(arch)
        if self._size is None or key in self.state.costs:
            return True
        costs = self.state.costs
        for other in costs:
            if other not in self._sizes:
                known = self.space.check(json.loads(other))
                self._sizes[other] = self._size(known)
        if len(costs) < FITTED:
            return True
        sizes = [self._sizes[other] for other in costs]
        slope, constant = np.polyfit(sizes, list(costs.values()), 1)
        predicted = slope * self._size(arch) + constant
        low = self.plan.fullness * budget / SLACK
        return low <= predicted <= budget * SLACK

    def _visit(self, arch: Arch, bar: tqdm) -> None:
        """Evaluate a sub-network, unless that was done before."""
        arch = self.space.check(arch)
        key = identify(arch)
        if key not in self.state.entries:
            metrics = self._evaluate(arch)
            if self.plan.metric not in metrics:
                raise UserError(
                    f'search: there is no metric {self.plan.metric!r}; there '
                    f'are {", ".join(sorted(metrics))}'
                )
            self.state.entries[key] = dict(
                arch=arch, cost=self.cost(arch), metrics=metrics
            )
            self.state.write(self.path)
        entry = self.state.entries[key]
        bar.update()
        bar.set_postfix_str(
            f'{entry["cost"]:.3g} {self.plan.unit}, '
            f'{self.plan.metric} {self._merit(entry):.4g}'
        )


def find_front(entries: Sequence[dict], metric: str) -> list[dict]:
    """Find the entries that no other beats in both cost and metric."""
    front: list[dict] = []
    for entry in sorted(
        entries, key=lambda e: (e['cost'], -e['metrics'][metric])
    ):
        best = front[-1]['metrics'][metric] if front else -np.inf
        if entry['metrics'][metric] > best:
            front.append(entry)
    return front


def draw_front(
    entries: Sequence[dict],
    picks: Sequence[dict],
    plan: Plan,
    out: str | Path,
) -> None:
    """Draw cost and metric of all evaluated sub-networks.

    Args:
        entries: All of them.
        picks: The best ones.
        plan: Settings of the search.
        out: ``.png`` file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout='constrained')
    axes = figure.subplots()
    for style, label, shown in (
        (dict(color='lightgray', marker='o'), 'sub-networks', entries),
        (
            dict(color='tab:blue', marker='.', linestyle='-'),
            'Pareto front',
            find_front(entries, plan.metric),
        ),
        (dict(color='tab:red', marker='*', markersize=14), 'picked', picks),
    ):
        style = dict(linestyle='none') | style
        costs = [entry['cost'] for entry in shown]
        values = [entry['metrics'][plan.metric] for entry in shown]
        axes.plot(costs, values, label=label, **style)
    for budget in plan.budgets:
        axes.axvline(budget, color='gray', linewidth=0.7, linestyle='--')
    axis = dict(gmacs='GMACs', ms='latency (ms)')[plan.unit]
    axes.set(xlabel=axis, ylabel=plan.metric)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, out)
