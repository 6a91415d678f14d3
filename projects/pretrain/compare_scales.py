"""Pretrain with batches of one size and of varying size, and compare.

    python projects/pretrain/compare_scales.py data/crops --epochs 40

Both trainings have the same config, images, seed and number of epochs, and run
side by side, on a core each. Counted are optimizer updates and the processor
time of an epoch without validation; the averaged weights at the end are tested
at several image sizes. A second call goes on where the first one ended.
"""

import argparse
import json
import multiprocessing
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
from lvt_dense.commands.parser import command
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.registry import HOOKS
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import newest_checkpoint, write_atomically

CONFIG = Path(__file__).parent / 'configs' / 'mobilevit_xxs_128.py'
ARMS = ('fixed', 'multi-scale')


@HOOKS.register_module()
class EpochCostHook(Hook):
    """Note the processor time and the updates of every epoch."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self._start = time.process_time(), runner.iter

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop it, and write a row."""
        seconds, updates = self._start
        row = dict(
            epoch=runner.epoch,
            seconds=time.process_time() - seconds,
            updates=runner.iter - updates,
        )
        with open(Path(runner.work_dir, 'costs.jsonl'), 'a') as file:
            file.write(json.dumps(row) + '\n')


def make_config(data: str, num_classes: int) -> Config:
    """Make the config of both trainings."""
    cfg = load_config(str(CONFIG))
    set_data_root(cfg, data)
    cfg.model.num_classes = num_classes
    cfg.default_hooks.costs = dict(type='lvt_dense.EpochCostHook')
    cfg.default_hooks.checkpoint.update(max_keep_ckpts=1, save_best=None)
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs
    return cfg


def train_arm(arm: str, args: argparse.Namespace, num_classes: int) -> None:
    """Train one arm, in a process of its own."""
    work_dir = args.out / arm
    torch.set_num_threads(1)
    train(
        make_config(str(args.data), num_classes),
        work_dir=str(work_dir),
        resume=newest_checkpoint(work_dir) is not None,
        exact_resume=True,
        multi_scale=arm != 'fixed',
        epochs=args.epochs,
        workers=0,
        seed=args.seed,
    )


def evaluate_at(cfg: Config, checkpoint: Path, size: int) -> float:
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
    """Train and test both arms; return a row for each.

    Raises:
        UserError: A training ended badly.
    """
    load_config(str(CONFIG))  # which makes this project importable
    from pretrain.data import list_classes

    num_classes = len(list_classes(args.data / 'train'))
    last = {arm: args.out / arm / f'epoch_{args.epochs}.pth' for arm in ARMS}
    import_stack()
    context = multiprocessing.get_context('fork')
    running = [
        context.Process(target=train_arm, args=(arm, args, num_classes))
        for arm in ARMS
        if not last[arm].is_file()
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    cfg = make_config(str(args.data), num_classes)
    rows = []
    for arm in ARMS:
        if not last[arm].is_file():
            raise UserError(f'{last[arm]} was not written: see the log there')
        lines = (args.out / arm / 'costs.jsonl').read_text().splitlines()
        # The last row counts of an epoch that was done twice.
        costs = {row['epoch']: row for row in map(json.loads, lines)}.values()
        rows.append(
            dict(
                arm=arm,
                updates=sum(row['updates'] for row in costs),
                seconds=sum(row['seconds'] for row in costs) / len(costs),
                top1={s: evaluate_at(cfg, last[arm], s) for s in args.sizes},
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
        cells = [row['arm'], row['updates'], f'{row["seconds"]:.1f}']
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
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/compare_scales')
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = compare(args)
    write_atomically(args.out / 'rows.json', json.dumps(rows, indent=1) + '\n')
    print(format_table(rows))


if __name__ == '__main__':
    main()
