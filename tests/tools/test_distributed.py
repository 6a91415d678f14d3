"""The launch scripts, with two processes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.commands import TOOLS, run_tool
from helpers.processes import free_port

from lvt_dense.scenes import write_coco

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='would run on the GPUs instead'
)
CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
SMALL = (
    '--cfg-options',
    'train_dataloader.dataset.pipeline.3.scale=(64,64)',
    'train_dataloader.batch_size=2',
    'val_dataloader.dataset.pipeline.1.scale=(64,64)',
    'test_dataloader.dataset.pipeline.1.scale=(64,64)',
    *(
        f'{split}_dataloader.{option}'
        for split in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.logger.interval=1',
)
# What a cluster provides: srun starts one task, on this node.
SRUN = """#!/usr/bin/env bash
while [ "$1" != bash ]; do echo "$1" >> "$SRUN_OPTIONS"; shift; done
SLURM_NNODES=1 SLURM_NODEID=0 SLURM_JOB_NODELIST=here exec "$@"
"""
SCONTROL = '#!/usr/bin/env bash\necho 127.0.0.1\n'


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('scenes') / 'coco'
    write_coco(folder, 11, seed=1, size=(96, 72), val_fraction=0.3)
    return folder


def launch(script: str, *args: object, **environment: str) -> str:
    """What a launch script says on its standard output and error."""
    port = free_port()
    folders = (str(Path(sys.executable).parent), os.environ['PATH'])
    done = subprocess.run(
        [str(TOOLS / script), *map(str, args)],
        env={
            **os.environ,
            'PATH': os.pathsep.join(folders),
            'MASTER_PORT': str(port),
            'OMP_NUM_THREADS': '1',
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope='module')
def trained(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    work_dir = tmp_path_factory.mktemp('work')
    options = ('--data-root', data, '--work-dir', work_dir, *SMALL)
    said = launch('dist_train.sh', CONFIG, 2, *options)
    return work_dir, said


@pytest.mark.release
def test_two_processes_share_an_epoch(trained: tuple[Path, str]) -> None:
    work_dir, said = trained
    # 8 images, 2 in each of 2 processes, are 2 steps.
    assert 'Epoch(train) [1][2/2]' in said
    assert (work_dir / 'epoch_1.pth').is_file()
    assert 'coco/bbox_mAP' in said


def left_in(out: Path) -> tuple:
    """Figures and detections that a test left."""
    found = json.loads((out / 'found.json').read_text())
    metrics = json.loads((out / 'metrics.json').read_text())
    return metrics, sorted(map(str, found))


@pytest.fixture(scope='module')
def alone(
    trained: tuple[Path, str],
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple:
    """What a test in one process leaves."""
    out = tmp_path_factory.mktemp('alone')
    checkpoint = trained[0] / 'epoch_1.pth'
    options = ('--data-root', data, '--work-dir', out)
    options += ('--out', out / 'found.json', *SMALL)
    assert run_tool('test', CONFIG, checkpoint, *options) == 0
    return left_in(out)


@pytest.mark.release
@pytest.mark.parametrize('cluster', [False, True])
def test_figures_are_those_of_one_process(
    alone: tuple,
    trained: tuple[Path, str],
    data: Path,
    tmp_path: Path,
    cluster: bool,
) -> None:
    checkpoint = trained[0] / 'epoch_1.pth'
    options = ('--data-root', data, '--work-dir', tmp_path)
    options += ('--out', tmp_path / 'found.json')
    options += ('--show-dir', tmp_path / 'pictures', *SMALL)
    if cluster:
        said = on_a_cluster(
            tmp_path, 'slurm_test.sh', CONFIG, checkpoint, *options
        )
    else:
        said = launch('dist_test.sh', CONFIG, checkpoint, 2, *options)
    assert left_in(tmp_path) == alone
    assert len(alone[1]) > 0
    # Of the 3 images the first process draws its share, and says so.
    assert 'first of 2 processes' in said
    assert len(list((tmp_path / 'pictures').iterdir())) == 2


def on_a_cluster(folder: Path, script: str, *args: object) -> str:
    """Launch with a srun that notes its options and starts one task."""
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    options = folder / 'options'
    path = (str(folder), str(Path(sys.executable).parent), os.environ['PATH'])
    said = launch(
        script,
        'part',
        'job',
        *args,
        GPUS='2',
        PATH=os.pathsep.join(path),
        SRUN_OPTIONS=str(options),
    )
    assert {'--nodes=1', '--gres=gpu:2', '--cpus-per-task=10'} <= set(
        options.read_text().split()
    )
    return said


@pytest.mark.release
def test_slurm_training(data: Path, tmp_path: Path) -> None:
    options = ('--data-root', data, '--work-dir', tmp_path, *SMALL)
    said = on_a_cluster(tmp_path, 'slurm_train.sh', CONFIG, *options)
    assert 'Epoch(train) [1][2/2]' in said


# Notes the process that reads the data, and trains.
NOTED = """
import os, sys
from pathlib import Path
from lvt_dense.commands.main import main
from lvt_dense.datasets.own import api
read = api._load

def note(*args, **kwargs):
    with open(os.environ['READ_BY'], 'a') as file:
        print(os.environ['RANK'], file=file)
    return read(*args, **kwargs)

api._load = note
main('train')
"""


@pytest.mark.release
def test_own_data_is_read_by_one_process(data: Path, tmp_path: Path) -> None:
    """The other one waits for it; both train, and one writes the result."""
    script, tool = tmp_path / 'noted.py', tmp_path / 'train.sh'
    script.write_text(NOTED)
    text = (TOOLS / 'dist_train.sh').read_text()
    assert '"$(dirname "$0")/train.py"' in text
    tool.write_text(text.replace('"$(dirname "$0")/train.py"', str(script)))
    tool.chmod(0o755)
    work, cache = tmp_path / 'work', tmp_path / 'cache'
    # An option that torchrun has as well, under a longer name
    options = ('--data', data, '--work-dir', work, '--start', 'none')
    said = launch(
        str(tool),
        CONFIG,
        2,
        *options,
        *SMALL,
        READ_BY=str(tmp_path / 'read_by'),
        XDG_CACHE_HOME=str(cache),
    )
    assert len((tmp_path / 'read_by').read_text().split()) == 1
    assert len(list((cache / 'lvt_dense' / 'prepared').glob('*.json'))) == 1
    # 8 images, 2 in each of 2 processes, are 2 steps.
    assert 'Epoch(train) [1][2/2]' in said
    assert said.count('COCO JSON, ') == said.count('result: ') == 1
    assert (work / 'result.txt').read_text().count('result: ') == 1
    assert len(list(work.glob('2*/*.log'))) == 1


def test_launcher_without_its_processes(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv('RANK', raising=False)
    options = ('--data-root', data, '--work-dir', tmp_path)
    args = (CONFIG, '--launcher', 'pytorch', *options)
    assert run_tool('train', *args) == 2
    assert 'RANK is not set' in capsys.readouterr().err
