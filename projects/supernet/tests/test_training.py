"""From training to a model that stands alone, on rendered scenes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.commands import TOOLS, run_command, run_script
from supernet.evaluate import build_supernet, count_macs
from supernet.tests.small import SPACE

from lvt_dense.config import load_config
from lvt_dense.models.backbones import NASViT
from lvt_dense.scenes import write_semantic

pytestmark = pytest.mark.release

PROJECT = Path(__file__).parents[1]
RUN = PROJECT / 'run.py'
SMALL = f"""
_base_ = {str(PROJECT / 'configs' / 'deeplabv3_camvid.py')!r}
train_pipeline = _base_.train_pipeline
train_pipeline[2:4] = [dict(type='Resize', scale=(64, 64))]
train_pipeline.pop(4)  # the flip: nothing is random
randomness = dict(seed=0)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (96, 64)
test_pipeline[1].keep_ratio = False
model = dict(
    space={SPACE!r},
    module=dict(
        data_preprocessor=dict(size=(64, 64)),
        decode_head=dict(in_channels=168, channels=8),
    ),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=4, val_interval=4)
val_cfg = dict(calibration_batches=2)
test_cfg = dict(calibration_batches=2)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2)
)
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('scenes') / 'camvid'
    return write_semantic(folder, 'camvid', 8, size=(96, 72))


@pytest.fixture(scope='module')
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('config') / 'small.py'
    path.write_text(SMALL)
    return path


@pytest.fixture(scope='module')
def trained(
    data: Path, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    work_dir = tmp_path_factory.mktemp('work')
    options = ('--data-root', data, '--work-dir', work_dir)
    assert run_command('train', config, *options) == 0
    return work_dir


def read_log(work_dir: Path) -> list[dict]:
    paths = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for p in paths for line in p.open()]


def test_training_logs_losses_conflicts_and_subnetworks(
    trained: Path,
) -> None:
    *steps, validation = read_log(trained)
    assert [entry['step'] for entry in steps] == [1, 2, 3, 4]
    assert all(entry['distance'] > 0 for entry in steps)
    assert all(0 <= entry['conflict'] <= 1 for entry in steps)
    assert {'min/mIoU', 'max/mIoU'} <= validation.keys()
    found = json.loads((trained / 'conflicts.json').read_text())
    assert found['share'] > 0
    used = [layer for layer in found['layers'] if layer['steps']]
    assert len(used) > 100
    assert {layer['steps'] for layer in used} >= {4}
    assert (trained / 'conflicts.png').read_bytes()[:4] == b'\x89PNG'


def test_resumed_training_is_the_same(
    trained: Path, data: Path, config: Path, tmp_path: Path
) -> None:
    options = ('--data-root', data, '--work-dir', tmp_path)
    start = trained / 'iter_2.pth'
    assert run_command('train', config, *options, '--resume', start) == 0
    first, again = (
        torch.load(folder / 'iter_4.pth', weights_only=False)
        for folder in (trained, tmp_path)
    )
    for key in first['state_dict']:
        assert torch.equal(first['state_dict'][key], again['state_dict'][key])
    assert first['conflicts'] == again['conflicts']


@pytest.fixture(scope='module')
def extracted(
    trained: Path,
    data: Path,
    config: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp('extracted')
    options = ('--data-root', data, '--batches', 2, '--out', out)
    checkpoint = trained / 'iter_4.pth'
    words = ('extract', config, checkpoint, '--subnet', 'min')
    assert run_script(RUN, *words, *options) == 0
    return out


def test_extracted_model_needs_no_supernet(
    trained: Path, extracted: Path, tmp_path: Path
) -> None:
    cfg = load_config(extracted / 'model.py')
    assert cfg.model.type == 'EncoderDecoder'
    assert cfg.model.decode_head.in_channels == 160
    assert 'custom_imports' not in cfg
    backbone = NASViT(cfg.model.backbone.arch, output_stride=16)
    content = torch.load(extracted / 'backbone.pth', weights_only=True)
    backbone.load_state_dict(content['state_dict'])  # strictly
    options = ('--work-dir', tmp_path)
    model = (extracted / 'model.py', extracted / 'model.pth')
    assert run_command('test', *model, *options) == 0
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    expected = read_log(trained)[-1]
    assert metrics['mIoU'] == pytest.approx(expected['min/mIoU'], abs=0.02)


def test_extracted_model_draws(
    extracted: Path, data: Path, tmp_path: Path
) -> None:
    model = (extracted / 'model.py', extracted / 'model.pth')
    images = data / 'images' / 'val'
    options = ('--out', tmp_path / 'pictures', '--limit', 1)
    assert run_command('visualize', *model, images, *options) == 0
    assert any((tmp_path / 'pictures').glob('*.png'))


def test_extracted_model_is_exported(extracted: Path, tmp_path: Path) -> None:
    pytest.importorskip('onnxscript')
    model = (extracted / 'model.py', extracted / 'model.pth')
    out = tmp_path / 'model.onnx'
    assert run_command('export', *model, '--out', out) == 0
    assert out.is_file()


def test_search_goes_on_where_it_stopped(
    trained: Path, data: Path, config: Path, tmp_path: Path
) -> None:
    supernet = build_supernet(load_config(config))
    space = supernet.space
    costs = [
        count_macs(supernet, arch, (64, 96)) / 1e9
        for arch in (space.smallest, space.largest)
    ]
    budget = round(sum(costs) / 2, 4)
    words = ('search', config, trained / 'iter_4.pth', '--gmacs', budget)
    options = ('--data-root', data, '--batches', 1, '--population', 2)
    for generations in (1, 2):
        status = run_script(
            RUN,
            *(*words, *options, '--out', tmp_path),
            *('--generations', generations),
        )
        assert status == 0
    state = json.loads((tmp_path / 'search.json').read_text())
    assert [len(keys) for keys in state['drawn'].values()] == [2, 2]
    picks = json.loads((tmp_path / 'subnets.json').read_text())
    (pick,) = picks['subnets']
    assert 0.9 * budget <= pick['cost'] <= budget
    assert pick['gmacs'] == pick['cost']
    NASViT(arch=pick['arch'])
    assert (tmp_path / 'pareto.png').read_bytes()[:4] == b'\x89PNG'


@pytest.mark.skipif(
    torch.cuda.is_available(), reason='would run on the GPUs instead'
)
def test_two_processes_train_the_same_subnetworks(
    data: Path, config: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    paths = (str(Path(sys.executable).parent), os.environ['PATH'])
    done = subprocess.run(
        [
            *(str(TOOLS / 'dist_train.sh'), str(config), '2'),
            *('--data-root', str(data), '--work-dir', str(tmp_path)),
            *('--cfg-options', 'train_cfg.max_iters=2'),
            'train_cfg.val_interval=2',
        ],
        env={
            **os.environ,
            'PATH': os.pathsep.join(paths),
            'PYTHONPATH': os.pathsep.join(
                [str(PROJECT.parent), os.environ.get('PYTHONPATH', '')]
            ),
            'MASTER_PORT': str(port),
            'OMP_NUM_THREADS': '1',
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert {'min/mIoU', 'max/mIoU'} <= read_log(tmp_path)[-1].keys()
    assert (tmp_path / 'iter_2.pth').is_file()


def test_folders_of_images_are_classified(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for color, name in enumerate(('blue', 'green')):
            for number in range(4):
                image = rng.integers(0, 80, (40, 50, 3), dtype=np.uint8)
                image[..., color] += 150
                path = tmp_path / 'images' / split / name / f'{number}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
    loaders = [
        f'{split}_dataloader.{option}'
        for split in ('train', 'val', 'test')
        for option in (
            *('num_workers=0', 'persistent_workers=False'),
            'batch_size=4',
        )
    ]
    work_dir = tmp_path / 'work'
    status = run_command(
        *('train', PROJECT / 'configs' / 'classify_folder.py'),
        *('--data-root', tmp_path / 'images', '--work-dir', work_dir),
        *('--cfg-options', *loaders),
        'model.module.head.num_classes=2',
        'train_dataloader.dataset.pipeline.1.scale=(40,40)',
        'train_dataloader.dataset.pipeline.2.crop_size=(32,32)',
        'val_dataloader.dataset.pipeline.1.scale=(32,32)',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'val_cfg.calibration_batches=1',
        'default_hooks.logger.interval=1',
    )
    assert status == 0
    assert (work_dir / 'epoch_1.pth').is_file()
    logs = list(work_dir.glob('*/vis_data/scalars.json'))
    assert 'max/accuracy/top1' in logs[0].read_text()
