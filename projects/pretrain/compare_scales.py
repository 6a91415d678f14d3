"""Pretrain with batches of one size and of varying size, and compare.

    python projects/pretrain/compare_scales.py data/crops --epochs 40

Both trainings have the same config, images, seed and number of epochs. Counted
are optimizer updates and the processor time of an epoch without validation;
the averaged weights at the end are tested at several image sizes.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import METRICS, MODELS
from mmengine.runner import Runner

from lvt_dense.apis.train import train
from lvt_dense.checkpoints.read import read_state_dict
from lvt_dense.commands.cli import command
from lvt_dense.config import load_config, set_data_root
from lvt_dense.files import write_atomically
from lvt_dense.registry import HOOKS

CONFIG = Path(__file__).parent / 'configs' / 'mobilevit_xxs_128.py'
ARMS = ('fixed', 'multi-scale')


@HOOKS.register_module()
class EpochCostHook(Hook):
    """Note the processor time and the updates of every epoch."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self._start = time.process_time(), runner.iter

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop it, and write the rows."""
        seconds, updates = self._start
        self.rows.append(
            dict(
                seconds=time.process_time() - seconds,
                updates=runner.iter - updates,
            )
        )
        path = Path(runner.work_dir, 'costs.json')
        write_atomically(path, json.dumps(self.rows) + '\n', sync=False)


def make_config(data: str, num_classes: int) -> Config:
    """Make the config of both trainings."""
    cfg = load_config(str(CONFIG))
    set_data_root(cfg, data)
    cfg.model.num_classes = num_classes
    cfg.default_hooks.costs = dict(type='lvt_dense.EpochCostHook')
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    return cfg


def test_at(cfg: Config, checkpoint: Path, size: int) -> float:
    """Compute the top-1 of a checkpoint on images of a size."""
    model = MODELS.build(cfg.model)
    model.load_state_dict(read_state_dict(checkpoint))
    loader = dict(cfg.val_dataloader, num_workers=0, persistent_workers=False)
    loader['dataset']['pipeline'][1]['scale'] = (size, size)
    metric = METRICS.build(dict(cfg.val_evaluator))
    with torch.no_grad():
        for data in Runner.build_dataloader(loader):
            samples = model.eval().test_step(data)
            metric.process(data, [s.to_dict() for s in samples])
    return metric.evaluate(len(metric.results))['accuracy/top1']


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Train and test both arms; return a row for each."""
    load_config(str(CONFIG))  # which makes this project importable
    from pretrain.data import list_classes

    num_classes = len(list_classes(args.data / 'train'))
    rows = []
    for arm in ARMS:
        work_dir = args.out / arm
        if not (work_dir / f'epoch_{args.epochs}.pth').is_file():
            train(
                make_config(str(args.data), num_classes),
                work_dir=str(work_dir),
                multi_scale=arm != 'fixed',
                epochs=args.epochs,
                workers=0,
                seed=args.seed,
            )
        costs = json.loads((work_dir / 'costs.json').read_text())
        seconds = sorted(row['seconds'] for row in costs)
        cfg = make_config(str(args.data), num_classes)
        checkpoint = work_dir / f'epoch_{args.epochs}.pth'
        rows.append(
            dict(
                arm=arm,
                updates=round(sum(row['updates'] for row in costs)),
                mean_seconds=sum(seconds) / len(seconds),
                median_seconds=seconds[len(seconds) // 2],
                top1={s: test_at(cfg, checkpoint, s) for s in args.sizes},
            )
        )
    return rows


def format_table(rows: list[dict[str, Any]]) -> str:
    """Format the rows as a table of Markdown."""
    sizes = list(rows[0]['top1'])
    titles = ['batches', 'updates', 'CPU s an epoch']
    titles += [f'top-1 at {size}' for size in sizes]
    lines = [titles, ['---'] * len(titles)]
    for row in rows:
        cells = [row['arm'], row['updates'], f'{row["mean_seconds"]:.1f}']
        cells += [f'{row["top1"][size]:.1f}' for size in sizes]
        lines.append(cells)
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


@command
def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data', type=Path, help='folder of train and val')
    parser.add_argument('--epochs', type=int, default=40)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--sizes', type=int, nargs='+', default=(96, 128, 160))
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/compare_scales')
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = compare(args)
    write_atomically(args.out / 'rows.json', json.dumps(rows, indent=1) + '\n')
    print(format_table(rows))


if __name__ == '__main__':
    main()
