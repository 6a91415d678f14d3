"""Search in a trained supernet: evaluation, cost and files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .evaluate import (
    LatencyMeter,
    SubnetEvaluator,
    build_supernet,
    count_macs,
    load_supernet,
)
from .model import Supernet
from .search import PICKS, PICTURE, Plan, Search, draw_front
from .space import Arch


def search_supernet(
    cfg: Config,
    checkpoint: str,
    out: str | Path,
    *,
    budgets: tuple[float, ...],
    unit: str,
    size: Sequence[int] | None = None,
    metric: str | None = None,
    batches: int = 16,
    images: int | None = None,
    threads: int = 1,
    **settings: Any,
) -> list[dict]:
    """Search the sub-networks of a trained supernet.

    Args:
        cfg: Config of the supernet.
        checkpoint: File written by its training.
        out: Folder for ``search.json`` (the state, from which an interrupted
            search goes on), ``subnets.json`` (the best sub-network of each
            budget) and ``pareto.png``.
        budgets: Largest costs.
        unit: ``gmacs``, or ``ms`` on this machine.
        size: Height and width of the image that the cost is for; by default
            those of the test pipeline.
        metric: What is to be large; by default that of ``save_best``.
        batches: Training batches for the batch statistics.
        images: Validation images; by default all.
        threads: Threads on a CPU, for the latency.
        **settings: Others of :class:`~.search.Plan`.

    Returns:
        The best sub-network of each budget.
    """
    supernet = load_supernet(cfg, checkpoint)
    evaluator = SubnetEvaluator(supernet, cfg, batches, images)
    size = tuple(size or find_size(cfg))
    plan = Plan(budgets, unit, metric or find_metric(cfg), **settings)

    def count(arch: Arch) -> float:
        return count_macs(supernet, arch, size) / 1e9

    def evaluate(arch: Arch) -> dict[str, float]:
        return evaluator.evaluate(evaluator.prepare(arch))

    search = Search(supernet.space, plan, count, evaluate, out)
    _note(search, size=list(size), threads=threads, images=images)
    if unit == 'ms':
        _measure_latency(search, supernet, size, threads)
    picks = search.run()
    for pick in picks:
        pick['gmacs'] = count(pick['arch'])
    _write(search, plan, picks, Path(out))
    return picks


def _measure_latency(
    search: Search, supernet: Supernet, size: tuple[int, ...], threads: int
) -> None:
    """Search by latency; a resumed search measures against the same one."""
    notes = search.state.notes
    smallest = supernet.extract(supernet.space.smallest)
    meter = LatencyMeter(
        smallest, size, threads, seconds=notes.get('reference')
    )
    notes['reference'] = meter.seconds
    search.measure(lambda arch: 1000 * meter.measure(supernet.extract(arch)))


def _note(search: Search, **notes: Any) -> None:
    """Note what has to stay the same in a resumed search."""
    kept = {k: v for k, v in search.state.notes.items() if k in notes}
    if kept and kept != notes:
        raise UserError(
            f'{search.path} is of a search with {kept}, and this one has '
            f'{notes}; give another --out'
        )
    search.state.notes.update(notes)


def _write(search: Search, plan: Plan, picks: list[dict], out: Path) -> None:
    facts = dict(unit=plan.unit, metric=plan.metric, **search.state.notes)
    content = dict(facts, subnets=picks)
    write_atomically(out / PICKS, json.dumps(content, indent=1) + '\n')
    entries = list(search.state.entries.values())
    draw_front(entries, picks, plan, out / PICTURE)


def measure_costs(
    cfg: Config,
    names: Sequence[str],
    size: Sequence[int] | None = None,
    threads: int = 1,
    rounds: int = 30,
) -> list[tuple[str, float, float]]:
    """Measure sub-networks on this machine, in turn.

    Weights are random: costs do not depend on them.

    Args:
        cfg: Config of a supernet.
        names: What :meth:`~.space.SearchSpace.find` takes.
        size: Height and width of the image; by default those of the test
            pipeline.
        threads: Threads on a CPU.
        rounds: Calls of each.

    Returns:
        Name, GMACs and median latency in ms of each.
    """
    supernet = build_supernet(cfg)
    size = tuple(size or find_size(cfg))
    archs = [supernet.space.find(name) for name in names]
    models = [supernet.extract(arch) for arch in archs]
    meter = LatencyMeter(models[0], size, threads, seconds=1.0)
    latencies = meter.time(models, rounds)
    return [
        (name, count_macs(supernet, arch, size) / 1e9, 1000 * latency)
        for name, arch, latency in zip(names, archs, latencies)
    ]


def find_metric(cfg: Config) -> str:
    """Find the metric by which the best checkpoint is kept.

    Raises:
        UserError: The config does not say.
    """
    saving = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = saving.get('save_best')
    if not isinstance(best, str) or best == 'auto':
        raise UserError(
            'search: the config names no metric in '
            'default_hooks.checkpoint.save_best; give --metric'
        )
    return best.split('/', 1)[-1]


def find_size(cfg: Config) -> tuple[int, int]:
    """Find the size of test images, (height, width).

    Raises:
        UserError: The test pipeline does not resize.
    """
    from lvt_dense.deploy.metadata import test_resize

    scale = test_resize(cfg)['scale']
    if scale is None:
        raise UserError(
            'search: the test pipeline does not resize images; give --size HxW'
        )
    return scale[1], scale[0]
