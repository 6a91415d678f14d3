"""Pretraining in two processes, with batches of varying size."""

from pathlib import Path

import pytest
import torch
from helpers.commands import forget_runs, run_command
from helpers.processes import free_port, set_rank
from torch.multiprocessing import spawn

from lvt_dense.apis.train import train
from lvt_dense.config import load_config, set_data_root

pytestmark = pytest.mark.release

SMALL = Path(__file__).parents[1] / 'configs' / 'mobilevit_xxs_128.py'


def train_in_process(rank: int, data: Path, work_dir: Path, port: int) -> None:
    """Train in one of two processes, and leave what it saw."""
    set_rank(rank, 2, port)
    forget_runs()
    cfg = load_config(str(SMALL))
    set_data_root(cfg, str(data))
    cfg.model.num_classes = 3
    runner = train(
        cfg,
        work_dir=str(work_dir),
        launcher='pytorch',
        multi_scale=True,
        epochs=1,
        batch_size=2,
        workers=0,
        seed=0,
    )
    sampler = runner.train_dataloader.batch_sampler
    drawn = [[(int(i), i.height, i.width) for i in batch] for batch in sampler]
    state = runner.model.module.state_dict()
    torch.save((drawn, runner.iter, state), work_dir / f'{rank}.pt')


@pytest.fixture(scope='module')
def work_dir(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('two')
    spawn(train_in_process, (folders, work_dir, free_port()), nprocs=2)
    return work_dir


def test_sizes_are_shared_and_images_are_not(work_dir: Path) -> None:
    one, two = (torch.load(work_dir / f'{rank}.pt') for rank in (0, 1))
    sizes = [
        [[i[1:] for i in batch] for batch in run[0]] for run in (one, two)
    ]
    assert sizes[0] == sizes[1]
    assert len({size for batch in sizes[0] for size in batch}) > 1
    images = [{i[0] for batch in run[0] for i in batch} for run in (one, two)]
    assert images[0] | images[1] == {*range(24)}
    assert images[0].isdisjoint(images[1])
    assert one[1] == two[1] == len(one[0])


def test_weights_are_those_of_both(work_dir: Path) -> None:
    one, two = (torch.load(work_dir / f'{rank}.pt')[2] for rank in (0, 1))
    for name, value in one.items():
        if 'running' not in name:  # statistics are those of each process
            assert torch.equal(value, two[name]), name


def test_accuracy_counts_each_image_once(
    work_dir: Path, folders: Path, tmp_path: Path
) -> None:
    (log,) = work_dir.rglob('*.log')
    (line,) = [x for x in log.read_text().splitlines() if 'val' in x and
               'accuracy/top1' in x]  # fmt: skip
    together = line.split('accuracy/top1: ')[1].split()[0]
    status = run_command(
        'test', SMALL, work_dir / 'epoch_1.pth', '--data-root', folders,
        '--work-dir', tmp_path, '--cfg-options', 'model.num_classes=3',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
    )  # fmt: skip
    assert status == 0
    (log,) = tmp_path.rglob('*.log')
    assert f'accuracy/top1: {together} ' in log.read_text()
