"""Measure what the remedies against conflicting gradients are worth.

Each run is a training of its own; those that are done are not repeated.

Example:
    python projects/supernet/experiment.py --data-root data/camvid
"""

import argparse
import json
import multiprocessing
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lvt_dense.commands.parser import Parser, command
from lvt_dense.utils.files import write_atomically

CONFIG = Path(__file__).with_name('configs') / 'deeplabv3_camvid_120.py'
SUBNETS = ('min', 'random:0', 'random:1', 'max')
METRIC = 'mIoU'
# Options of the config, by variant.
VARIANTS: dict[str, dict[str, Any]] = {
    'all remedies': {},
    'no projection': {'optim_wrapper.projection': False},
    'no switchable scaling': {'model.switchable_scaling': False},
    'strong augmentation': {'train_dataloader.dataset.pipeline.4.prob': 1.0},
}
APART = 'trained separately'
COUNTED = 20  # random sub-networks, for their mean cost
Result = dict[str, Any]


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('--data-root', required=True, help='CamVid')
    parser.add_argument('--out', default='work_dirs/supernet_experiment')
    parser.add_argument('--iters', type=int, default=100)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--variants', nargs='+', default=[*VARIANTS, APART], metavar='NAME'
    )
    return parser.parse_args()


@command
def main() -> None:
    """Run what is missing; write table and pictures."""
    args = parse_args()
    from lvt_dense.compat.stack import import_stack

    import_stack()  # once here, and not again in every process
    out = Path(args.out)
    for seed in args.seeds:
        for variant in args.variants:
            for job in list_jobs(variant, seed, args, out):
                run_apart(job)
    results = collect(args.variants, args.seeds, out)
    write_atomically(out / 'table.md', format_table(results))
    draw(results, out)
    print(format_table(results))


def list_jobs(
    variant: str, seed: int, args: argparse.Namespace, out: Path
) -> Iterator[tuple]:
    """List the trainings of a variant that are missing."""
    names: Sequence[str | None] = SUBNETS if variant == APART else (None,)
    for subnet in names:
        folder = folder_of(out, variant, seed, subnet)
        if not (folder / 'result.json').exists():
            yield variant, seed, subnet, args.data_root, args.iters, folder


def folder_of(out: Path, variant: str, seed: int, subnet: str | None) -> Path:
    """Name the folder of a training."""
    words = [variant, *([subnet] if subnet else []), str(seed)]
    return out / '-'.join(words).replace(' ', '_').replace(':', '')


def run_apart(job: tuple) -> None:
    """Run a training in a process that ends with it."""
    process = multiprocessing.get_context('fork').Process(
        target=train_one, args=job
    )
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f'error: {job[-1]} ended with {process.exitcode}')


def train_one(
    variant: str,
    seed: int,
    subnet: str | None,
    data_root: str,
    iters: int,
    folder: Path,
) -> None:
    """Train, and write ``result.json``."""
    import torch
    from mmengine.registry import MODELS, init_default_scope
    from supernet.extract import plain_config

    from lvt_dense.apis.train import train
    from lvt_dense.config import load_config, set_data_root

    torch.set_num_threads(1)
    cfg = load_config(str(CONFIG), VARIANTS.get(variant))
    cfg.model.seed = seed
    set_data_root(cfg, data_root)
    if subnet:
        init_default_scope(cfg.default_scope)
        supernet = MODELS.build(cfg.model)
        iters = equal_iters(supernet, iters)
        arch = supernet.space.find(subnet)
        cfg = plain_config(cfg, supernet, arch)
    cfg.randomness = dict(seed=seed)
    cfg.train_cfg.update(max_iters=iters, val_interval=iters)
    cfg.param_scheduler[1].update(T_max=iters, end=iters)
    cfg.default_hooks.checkpoint.interval = iters
    train(cfg, str(folder), pretrained='none')
    write_atomically(
        folder / 'result.json', json.dumps(read_result(folder, subnet))
    )


def equal_iters(supernet: Any, iters: int) -> int:
    """Compute how long sub-networks train apart at equal compute.

    All together cost as much as the supernet, whose step trains the largest,
    the smallest and two random sub-networks; each gets as many iterations.
    """
    import random

    from supernet.evaluate import count_macs

    size = (96, 128)
    rng = random.Random(0)
    drawn = [supernet.space.sample(rng) for _ in range(COUNTED)]
    costs = {
        name: count_macs(supernet, supernet.space.find(name), size)
        for name in SUBNETS
    }
    mean = statistics.mean(count_macs(supernet, a, size) for a in drawn)
    step = costs['max'] + costs['min'] + supernet.num_random * mean
    return round(iters * step / sum(costs.values()))


def read_result(folder: Path, subnet: str | None) -> Result:
    """Read the metrics of a training, and its conflicts."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    last = json.loads(logs[-1].read_text().splitlines()[-1])
    if subnet:
        return dict(metrics={subnet: last[METRIC]})
    conflicts = json.loads((folder / 'conflicts.json').read_text())
    return dict(
        metrics={name: last[f'{name}/{METRIC}'] for name in SUBNETS},
        conflict=100 * conflicts['share'],
    )


def collect(
    variants: Sequence[str], seeds: Sequence[int], out: Path
) -> dict[str, list[Result]]:
    """Read all results, by variant."""
    results: dict[str, list[Result]] = {}
    for variant in variants:
        results[variant] = []
        for seed in seeds:
            names = SUBNETS if variant == APART else (None,)
            merged: Result = dict(metrics={})
            for subnet in names:
                path = folder_of(out, variant, seed, subnet) / 'result.json'
                found = json.loads(path.read_text())
                merged['metrics'].update(found.pop('metrics'))
                merged.update(found)
            results[variant].append(merged)
    return results


def format_table(results: dict[str, list[Result]]) -> str:
    """Format mean and standard deviation over the seeds as Markdown."""
    lines = [
        '| training | conflicts (%) | '
        + ' | '.join(f'{METRIC} {name}' for name in SUBNETS)
        + ' |',
        '| --- |' + ' ---: |' * (1 + len(SUBNETS)),
    ]
    for variant, runs in results.items():
        cells = [_spread([r['conflict'] for r in runs if 'conflict' in r])]
        cells += [_spread([r['metrics'][n] for r in runs]) for n in SUBNETS]
        lines.append(f'| {variant} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ''
    text = f'{statistics.mean(values):.1f}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):.1f}'
    return text


def draw(results: dict[str, list[Result]], out: Path) -> None:
    """Draw the metrics, and the conflicts of the first seed."""
    from matplotlib.figure import Figure
    from supernet.conflict_meter import draw_conflicts
    from supernet.figures import save_figure

    figure = Figure(figsize=(8, 4), layout='constrained')
    axes = figure.subplots()
    width = 0.8 / len(results)
    for number, (variant, runs) in enumerate(results.items()):
        columns = [[r['metrics'][name] for r in runs] for name in SUBNETS]
        places = [i + number * width for i in range(len(SUBNETS))]
        errors = [statistics.stdev(c) if len(c) > 1 else 0.0 for c in columns]
        means = [statistics.mean(c) for c in columns]
        axes.bar(places, means, width, yerr=errors, label=variant)
    middle = 0.4 - width / 2
    axes.set_xticks([i + middle for i in range(len(SUBNETS))], SUBNETS)
    axes.set_ylabel(METRIC)
    figure.legend(loc='outside upper center', ncols=len(results), fontsize=7)
    save_figure(figure, out / 'metrics.png')
    paths = {
        variant: path
        for variant in results
        for path in sorted(out.glob(f'{variant.replace(" ", "_")}-*/'))[:1]
        if (path / 'conflicts.json').exists()
    }
    files = [path / 'conflicts.json' for path in paths.values()]
    if files:
        draw_conflicts(files, out / 'conflicts.png', list(paths))


if __name__ == '__main__':
    main()
