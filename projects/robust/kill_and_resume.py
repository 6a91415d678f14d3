"""Kill a training again and again, resume it, and compare it with one whole.

    python projects/robust/kill_and_resume.py --kills 20

Trains SSDLite on rendered scenes, with all that draws random numbers: varying
image sizes, random crops in a worker process, averaged weights. One training
is left alone. The other is ended with SIGKILL at random moments, and goes on
from its newest checkpoint each time. Every loss of both and the last weights
must be the same to the last bit.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from lvt_dense.apis.train import train
from lvt_dense.checkpoints.read import read_state_dict
from lvt_dense.commands.parser import command
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.registry import HOOKS
from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import newest_checkpoint, write_atomically

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
LOSSES = 'losses.jsonl'
SIDE = 64  # of the images in pixels
BATCH = 8  # of that side; of the largest one 2
SAVED_EVERY = 2  # iterations
MOST_DONE = 5  # iterations that a killed process may do at most
LONGEST_WAIT = 1.0  # seconds from an iteration to the kill


@HOOKS.register_module()
class LossFileHook(Hook):
    """Write the loss of every iteration, in full precision."""

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Append a line."""
        line = json.dumps([runner.iter, float(outputs['loss']).hex()])
        with open(Path(runner.work_dir, LOSSES), 'a') as file:
            file.write(f'{line}\n')


def make_config(data: Path, epochs: int) -> Config:
    """Make the config of the trainings."""
    cfg = load_config(CONFIG)
    set_data_root(cfg, str(data))
    for step in cfg.train_dataloader.dataset.pipeline:
        if 'scale' in step:
            step.scale = (SIDE, SIDE)
    cfg.val_dataloader.dataset.pipeline[1].scale = (SIDE, SIDE)
    cfg.train_dataloader.batch_size = BATCH
    cfg.train_cfg.update(max_epochs=epochs, val_interval=4)
    cfg.default_hooks.checkpoint.update(
        by_epoch=False, interval=SAVED_EVERY, max_keep_ckpts=2, save_best=None
    )
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.losses = dict(type='lvt_dense.LossFileHook')
    return cfg


def start(data: Path, work_dir: Path, epochs: int) -> BaseProcess:
    """Start or resume a training in a process of its own."""
    process = multiprocessing.get_context('fork').Process(
        target=_train, args=(data, work_dir, epochs)
    )
    process.start()
    return process


def _train(data: Path, work_dir: Path, epochs: int) -> None:
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / 'said.txt', 'a') as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    torch.set_num_threads(1)
    train(
        make_config(data, epochs),
        work_dir=str(work_dir),
        resume=newest_checkpoint(work_dir) is not None,
        exact_resume=True,
        multi_scale=True,
        workers=1,
        seed=0,
    )


def read_losses(work_dir: Path) -> list[tuple[int, str]]:
    """Read what the hook wrote; a line that was cut off is left out."""
    path = work_dir / LOSSES
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(tuple(json.loads(line)))
        except ValueError:
            continue
    return rows


def finish(process: BaseProcess, work_dir: Path) -> None:
    """Let a training come to its end.

    Raises:
        UserError: It ended badly.
    """
    process.join()
    if process.exitcode:
        raise UserError(f'the training failed: see {work_dir}/said.txt')


def kill_at_random(
    process: BaseProcess, work_dir: Path, numbers: random.Random
) -> int | None:
    """Kill a process after a random number of iterations and a while.

    Returns:
        Iterations that it did, or None if it ended first.
    """
    before = len(read_losses(work_dir))
    goal = before + numbers.randint(0, MOST_DONE)
    while process.is_alive() and len(read_losses(work_dir)) < goal:
        time.sleep(0.02)
    time.sleep(numbers.uniform(0, LONGEST_WAIT))
    if not process.is_alive():
        return None
    process.kill()
    process.join()
    return len(read_losses(work_dir)) - before


def compare(whole: Path, killed: Path) -> dict[str, Any]:
    """Compare the losses and the last weights of two trainings.

    Returns:
        Numbers of iterations, of those done again, of losses that differ,
        and whether the weights are equal.
    """
    expected = dict(read_losses(whole))
    rows = read_losses(killed)
    wrong = [i for i, loss in rows if expected.get(i) != loss]
    missing = sorted(expected.keys() - {i for i, _ in rows})
    states = []
    for folder in (whole, killed):
        newest = newest_checkpoint(folder)
        if newest is None:
            raise UserError(f'{folder} holds no checkpoint: see said.txt')
        states.append((newest.name, read_state_dict(newest)))
    (name, first), (other, second) = states
    return dict(
        iterations=len(expected),
        again=len(rows) - len(expected) + len(missing),
        different=len(wrong),
        missing=len(missing),
        same_weights=name == other
        and first.keys() == second.keys()
        and all(torch.equal(v, second[k]) for k, v in first.items()),
    )


def draw(whole: Path, killed: Path, ends: Sequence[int], path: Path) -> None:
    """Draw both loss curves, and where the second one was killed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout='constrained')
    axes = figure.add_subplot()
    for folder, style, label in (
        (whole, dict(color='0.6', linewidth=4), 'never stopped'),
        (killed, dict(color='C3', linewidth=1), f'killed {len(ends)} times'),
    ):
        curve = sorted(dict(read_losses(folder)).items())
        losses = [float.fromhex(loss) for _, loss in curve]
        axes.plot([i + 1 for i, _ in curve], losses, label=label, **style)
    for end in ends:
        axes.axvline(end, color='C3', linewidth=0.5, alpha=0.5)
    axes.set(xlabel='iteration', ylabel='loss')
    axes.legend()
    figure.savefig(path, dpi=120)


@command
def main(args: list[str] | None = None) -> None:
    """Train, kill, resume, compare; exit with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--epochs', type=int, default=14)
    parser.add_argument('--images', type=int, default=48)
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/kill_and_resume')
    )
    given = parser.parse_args(args)
    import_stack()
    torch.set_num_threads(1)
    shutil.rmtree(given.out, ignore_errors=True)
    data, whole, killed = (
        given.out / name for name in ('data', 'whole', 'killed')
    )
    write_coco(data, given.images, seed=1, size=(128, 96), val_fraction=0.25)
    finish(start(data, whole, given.epochs), whole)
    numbers = random.Random(given.seed)
    ends = []
    for _ in tqdm(range(given.kills), 'killing', unit='kill'):
        process = start(data, killed, given.epochs)
        done = kill_at_random(process, killed, numbers)
        if done is None:
            break  # it has ended, well or badly: what follows will tell
        ends.append(max((i for i, _ in read_losses(killed)), default=-1) + 1)
    finish(start(data, killed, given.epochs), killed)
    result = dict(kills=len(ends), **compare(whole, killed))
    write_atomically(given.out / 'result.json', json.dumps(result) + '\n')
    draw(whole, killed, ends, given.out / 'losses.png')
    print(
        f'{result["kills"]} kills, {result["iterations"]} iterations, '
        f'{result["again"]} done again; {result["different"]} losses differ, '
        f'{result["missing"]} are missing; the last weights are '
        f'{"the same" if result["same_weights"] else "not the same"}: '
        f'{given.out}/losses.png'
    )
    same = not result['different'] + result['missing']
    sys.exit(0 if same and result['same_weights'] else 1)


if __name__ == '__main__':
    main()
