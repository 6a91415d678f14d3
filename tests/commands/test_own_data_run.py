"""A recipe trained on data of one's own, and the commands after that."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers.commands import run_command, skip_beautifier

from lvt_dense.commands.parser import Parser
from lvt_dense.scenes import write_coco

RECIPE = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'
CLASSES = ('--classes', 'person,bicycle,car')
OPTIONS = (
    'train_dataloader.dataset.pipeline.5.scale=(64,64)',
    *(
        f'{split}_dataloader.dataset.pipeline.1.scale=(64,64)'
        for split in ('val', 'test')
    ),
    *(
        f'{split}_dataloader.{option}'
        for split in ('val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
)


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('scenes') / 'own'
    write_coco(folder, 8, seed=1, size=(96, 72), val_fraction=0.25)
    return folder


@pytest.fixture(scope='module')
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work directory of a training of one epoch."""
    work_dir = tmp_path_factory.mktemp('work')
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        assert train(data, work_dir, *CLASSES, '--epochs', 1) == 0
    return work_dir


def train(data: Path, work_dir: Path, *options: object) -> int:
    return run_command(
        'train',
        *(RECIPE, '--data', data, '--work-dir', work_dir),
        *('--batch-size', 2, '--workers', 0, *options),
        *('--cfg-options', *OPTIONS, 'train_cfg.val_interval=1'),
    )


def test_learning_curve(trained: Path, tmp_path: Path) -> None:
    """The pictures of the labels leave the run its log of figures."""
    assert list(trained.glob('data/*.png'))
    out = tmp_path / 'curve.png'
    metric = ('--metric', 'coco/bbox_mAP', '--out', out)
    assert run_command('learning-curve', trained, *metric) == 0
    assert out.is_file()


def test_page_at_the_end(trained: Path) -> None:
    """Result, failures, what would help, and commands that exist."""
    lines = (trained / 'result.txt').read_text().splitlines()
    first, *rest = lines
    best = trained / 'best.pth'
    assert re.fullmatch(
        rf'result: coco/bbox_mAP \S+ at epoch 1, {best}', first
    )
    assert any('training' in x for x in rest if x.startswith('weakness:'))
    assert any(x.startswith('suggestion: ') for x in rest)
    commands = [
        shlex.split(line.partition('lvt-dense ')[2])
        for line in rest
        if 'lvt-dense ' in line
    ]
    assert [c[0] for c in commands[-2:]] == ['report', 'export']
    for name, *args in commands:
        parser = Parser()
        import_module(f'lvt_dense.commands.{name}').add_arguments(parser)
        parsed = parser.parse_args(args)
        assert getattr(parsed, 'epochs', None) in (None, 2)


def test_start_from_a_training_with_other_classes(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    """Classes of the same name are kept; rare ones are drawn more often."""
    classes = ('--classes', 'car,truck,person')
    start = ('--start', trained / 'best.pth', '--balance')
    assert train(data, tmp_path, *classes, *start, '--epochs', 1) == 0
    log = max(tmp_path.glob('*/*.log')).read_text()
    assert f'start: all weights of {trained / "best.pth"}' in log
    kept = 'start: 2 of 3 classes kept by name: person, car; 1 new: truck'
    assert kept in log.replace('car, person', 'person, car')
    total = re.search(r'load_from: .* fills (\d+) of (\d+) tensors', log)
    assert total and total[1] == total[2]
    assert 'not filled' not in log
    assert '--balance: oversample_thr=' in log


def test_start_and_other_starts(
    trained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for other in (
        ('--resume', trained / 'epoch_1.pth'),
        ('--pretrained', 'x'),
    ):
        options = (*CLASSES, '--start', 'none', *other)
        assert train(data, tmp_path, *options) == 2
        assert f'but {other[0]}' in capsys.readouterr().err
    missing = (*CLASSES, '--start', 'no.pth')
    assert train(data, tmp_path, *missing) == 2
    assert '--start no.pth: ' in capsys.readouterr().err


def test_best_checkpoint(trained: Path) -> None:
    assert (trained / 'best.pth').is_file()


def test_pictures_with_the_packaged_recipe(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    """The checkpoint knows its three classes."""
    images = data / 'val2017'
    args = (RECIPE, trained / 'best.pth', images, '--out', tmp_path)
    options = ('--score-thr', 0, '--cfg-options', *OPTIONS)
    assert run_command('visualize', *args, *options) == 0
    records = json.loads((tmp_path / 'predictions.json').read_text())
    labels = {o['label'] for r in records for o in r['objects']}
    assert labels and labels <= {'person', 'bicycle', 'car'}


def test_export_with_the_packaged_recipe(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to a size that is refused once the checkpoint is in the model."""
    args = (RECIPE, trained / 'best.pth', '--out', tmp_path / 'a.onnx')
    assert run_command('export', *args, '--size', '31x31') == 2
    assert '--size 31x31: height and width' in capsys.readouterr().err


def test_evaluation_needs_the_data(
    trained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ('test', RECIPE, trained / 'best.pth', '--work-dir', tmp_path)
    other = ('--cfg-options', *OPTIONS)
    assert run_command(*args, '--data-root', data, *other) == 2
    said = capsys.readouterr().err
    assert 'was trained for 3 classes (person, bicycle, car)' in said
    assert 'and the config has 80: add --data DIR' in said
    assert run_command(*args, '--data', data, *other) == 2
    said = capsys.readouterr().err
    assert 'and --classes "person,bicycle,car", or give the config' in said
    swapped = ('--classes', 'car,person,bicycle')
    assert run_command(*args, '--data', data, *swapped, *other) == 2
    assert 'in another order: add --data DIR' in capsys.readouterr().err
    per_class = (*CLASSES, '--per-class', *other)
    assert run_command(*args, '--data', data, *per_class) == 0
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 'coco/car_precision' in metrics


def test_video_is_for_another_command(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'a.mp4').write_bytes(b'\0' * 100)
    args = (RECIPE, trained / 'best.pth', tmp_path / 'a.mp4')
    assert run_command('visualize', *args, '--out', tmp_path / 'out') == 2
    assert 'is a video' in capsys.readouterr().err


def test_going_on_for_longer(
    trained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the new schedule, and with the same classes alone."""
    work_dir = tmp_path / 'copy'
    shutil.copytree(trained, work_dir)
    swapped = ('--classes', 'car,person,bicycle', '--resume', '--epochs', 2)
    assert train(data, work_dir, *swapped) == 2
    said = capsys.readouterr().err
    assert 'classes person, bicycle, car, and the data have car, ' in said
    assert train(data, work_dir, *CLASSES, '--resume', '--epochs', 2) == 0
    log = max(work_dir.glob('*/*.log')).read_text()
    rates = re.search(r'learning rate (\S+) instead of ([\d.e-]+)', log)
    # half of it, in the middle of a cosine; before, near its end
    assert rates and float(rates[1]) == pytest.approx(0.0001125 / 2, 0.01)
    assert float(rates[2]) < float(rates[1])
    assert 'Epoch(train) [2]' in log


class Writer:
    """Keeps what a training sends to TensorBoard."""

    kept: list[tuple[str, float, int]] = []

    def __init__(self, log_dir: str) -> None:
        Path(log_dir, 'events.out').write_text('')

    def add_scalar(self, name: str, value: float, step: int = 0) -> None:
        self.kept.append((name, float(value), step))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def test_losses_and_metrics_go_to_tensorboard(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType('tensorboard')
    module.__spec__ = ModuleSpec('tensorboard', None)
    monkeypatch.setitem(sys.modules, 'tensorboard', module)
    writer = ModuleType('torch.utils.tensorboard')
    writer.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, writer.__name__, writer)
    monkeypatch.setattr(Writer, 'kept', [])
    options = ('--epochs', 1, '--log', 'tensorboard')
    assert train(data, tmp_path, *CLASSES, *options) == 0
    names = {name for name, _, _ in Writer.kept}
    assert {'loss', 'lr', 'coco/bbox_mAP', 'coco/bbox_mAP_50'} <= names
    assert all(np.isfinite(value) for _, value, _ in Writer.kept)
    assert list(tmp_path.rglob('vis_data/events.out'))


def test_files_of_tensorboard(data: Path, tmp_path: Path) -> None:
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing import event_accumulator

    options = ('--epochs', 1, '--log', 'tensorboard')
    assert train(data, tmp_path, *CLASSES, *options) == 0
    (events,) = tmp_path.rglob('vis_data/events.*')
    found = event_accumulator.EventAccumulator(str(events)).Reload()
    assert {'loss', 'coco/bbox_mAP'} <= set(found.Tags()['scalars'])
