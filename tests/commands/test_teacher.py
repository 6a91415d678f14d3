"""``lvt-dense train --teacher`` from the command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import run_command, skip_beautifier
from helpers.distillation import SEGMENTER, build
from helpers.tiny_training import log_of
from mmengine.config import Config
from PIL import Image

from lvt_dense.scenes import write_semantic

CLASSES = (
    *('sky', 'building', 'pole', 'road', 'pavement', 'tree'),
    *('sign', 'fence', 'car', 'pedestrian', 'bicyclist'),
)
SMALL = """
_base_ = ['lvt_dense::{name}.py']
model = dict(data_preprocessor=dict(size=(64, 64)))
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (128, 96)
train_pipeline[3].crop_size = (64, 64)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (128, 96)
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
train_cfg = dict(max_iters=2, val_interval=10)
default_hooks = dict(checkpoint=dict(interval=1))
custom_hooks = [dict(type='EMAHook')]
"""
LARGER = """
_base_ = ['student.py']
model = dict(backbone=dict(arch='xs'), decode_head=dict(in_channels=96))
"""


class Folder:
    """Configs, data and a teacher's checkpoint."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = write_semantic(
            root / 'camvid', 'camvid', 5, seed=1, size=(128, 96)
        )
        self.student = root / 'student.py'
        self.student.write_text(SMALL.format(name=SEGMENTER))
        self.config = root / 'teacher.py'
        self.config.write_text(LARGER)
        self.checkpoint = root / 'teacher.pth'
        model = build(
            SEGMENTER,
            seed=1,
            model__backbone__arch='xs',
            model__decode_head__in_channels=96,
        )
        meta = dict(dataset_meta=dict(classes=CLASSES))
        content = dict(state_dict=model.state_dict(), meta=meta)
        torch.save(content, self.checkpoint)
        self.teacher = ('--teacher', self.config, self.checkpoint)

    def train(self, work_dir: str, *args: Any) -> int:
        return run_command(
            'train', self.student, '--data-root', self.data,
            '--work-dir', self.root / work_dir, '--seed', 0, *args,
        )  # fmt: skip


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp('teacher'))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


@pytest.fixture(scope='module')
def run(folder: Folder) -> Path:
    """A run of two iterations with projected features."""
    options = ('--cfg-options', 'distillation.weight=0.5')
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        status = folder.train(
            'work', *folder.teacher, '--distill', 'pkd', *options
        )
    assert status == 0
    return folder.root / 'work'


def load(path: Path) -> dict:
    return torch.load(path, weights_only=False)


def test_log_and_config_of_a_run(run: Path, folder: Folder) -> None:
    log = log_of(run)
    assert 'teacher.pth (2.94 M parameters) teaches by pkd, weight 0.5' in log
    assert 'features at the strides 4, 8, 16, 16 are compared' in log
    assert 'distill.loss_pkd: ' in log
    cfg = Config.fromfile(run / 'student.py')
    assert cfg.distillation.to_dict() == dict(
        teacher=str(folder.config),
        checkpoint=str(folder.checkpoint),
        kind='pkd',
        weight=0.5,
        temperature=1.0,
    )
    assert 'distill' not in str(cfg.model)


def test_checkpoint_is_that_of_the_student_alone(run: Path) -> None:
    content = load(run / 'iter_2.pth')
    plain = build(SEGMENTER)
    plain.load_state_dict(content['state_dict'], strict=True)
    averages = content['ema_state_dict']
    keys = {k.removeprefix('module.') for k in averages} - {'steps'}
    assert keys == plain.state_dict().keys()
    # Parameters of student and projections, none of the teacher's.
    groups = content['optimizer']['param_groups']
    count = sum(len(group['params']) for group in groups)
    projections = content['distillation']
    assert len(projections) == 8
    assert count == len([*plain.parameters()]) + len(projections)


def test_run_goes_on_with_its_projections(run: Path, folder: Folder) -> None:
    saved = load(run / 'iter_1.pth')
    status = folder.train(
        'resumed', *folder.teacher, '--distill', 'pkd', '--resume',
        run / 'iter_1.pth', '--cfg-options', 'distillation.weight=0.5',
        'optim_wrapper.optimizer.lr=0.0',
    )  # fmt: skip
    assert status == 0
    assert 'resuming from' in log_of(folder.root / 'resumed')
    # At a rate of 0 nothing moves, so what is saved is what was loaded.
    again = load(folder.root / 'resumed/iter_2.pth')
    for name, value in saved['distillation'].items():
        assert torch.equal(value, again['distillation'][name]), name


def test_resume_without_the_teacher_says_so(
    run: Path, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert folder.train('alone', '--resume', run / 'iter_1.pth') != 0
    text = capsys.readouterr().err
    assert 'is of a training with a teacher' in text
    assert 'give --teacher again' in text


def test_config_alone_repeats_the_run(run: Path, folder: Folder) -> None:
    status = run_command(
        'train', run / 'student.py', '--work-dir', folder.root / 'again'
    )
    assert status == 0
    first, second = (
        load(folder.root / name / 'iter_1.pth')['state_dict']
        for name in ('work', 'again')
    )
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    # and it can be tested as any other
    status = run_command(
        'test', run / 'student.py', run / 'iter_2.pth',
        '--work-dir', folder.root / 'test',
    )  # fmt: skip
    assert status == 0


def test_unlabeled_images(folder: Folder) -> None:
    images = folder.root / 'more'
    images.mkdir()
    for path in sorted((folder.data / 'images/train').iterdir())[:2]:
        Image.open(path).convert('RGB').save(images / f'{path.stem}.jpg')
    options = ('--distill', 'none', '--unlabeled', images)
    assert folder.train('unlabeled', *folder.teacher, *options) == 0
    work = folder.root / 'unlabeled'
    log = log_of(work)
    assert '--unlabeled: the teacher has labeled 2 images, ' in log
    assert 'distill.loss' not in log
    masks = sorted((work / 'pseudo_labels').glob('*.png'))
    assert len(masks) == 2
    assert Image.open(masks[0]).size == (128, 96)
    values = set(Image.open(masks[0]).getdata())
    assert values <= {*range(11), 255}
    # The labels are used again.
    stamps = [path.stat().st_mtime_ns for path in masks]
    assert folder.train('unlabeled', *folder.teacher, *options) == 0
    assert [path.stat().st_mtime_ns for path in masks] == stamps


@pytest.mark.parametrize(
    ('args', 'text'),
    [
        (('--distill', 'cwd'), '--distill cwd needs --teacher'),
        (('--unlabeled', '.'), '--unlabeled DIR needs --teacher'),
        (('--teacher', 'only.py'), 'give CONFIG CHECKPOINT'),
        (('--teacher', 'a.onnx', 'b.pth'), 'takes no checkpoint'),
        (('--teacher', 'a.onnx'), 'a.onnx does not exist'),
        (('--teacher', 'a.py', 'none.pth'), 'none.pth does not exist'),
        (('T', '--distill', 'pdk'), '--distill pdk: did you mean pkd?'),
        (
            ('T', '--cfg-options', 'distillation.weight=-1'),
            'distillation.weight=-1: give a number above 0',
        ),
        (
            ('T', '--cfg-options', 'distillation.wieght=1'),
            'distillation.wieght: did you mean weight?',
        ),
    ],
)
def test_errors_are_one_line(
    folder: Folder,
    args: tuple,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = folder.teacher if args[0] == 'T' else ()
    rest = args[1:] if args[0] == 'T' else args
    assert folder.train('errors', *given, *rest) != 0
    (line,) = [x for x in capsys.readouterr().err.splitlines() if 'error' in x]
    assert text in line


@pytest.mark.release
def test_exported_teacher(folder: Folder) -> None:
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    file = folder.root / 'teacher.onnx'
    status = run_command(
        'export', folder.config, folder.checkpoint, '--raw', '--size',
        '64x64', '--out', file,
    )  # fmt: skip
    assert status == 0
    assert folder.train('exported', '--teacher', file) == 0
    log = log_of(folder.root / 'exported')
    assert 'teacher.onnx (an exported file) teaches by cwd' in log
    assert 'distill.loss_cwd: ' in log
