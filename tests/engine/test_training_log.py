"""What a training prints, logs and leaves, however short it is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import skip_beautifier
from helpers.tiny_training import TinyMetric, log_of, run_tiny

from lvt_dense.utils.errors import UserError
from lvt_dense.visualization.curves import read_curves

VALIDATION = dict(
    val_dataloader=dict(
        batch_size=2,
        dataset=dict(type='TinyDataset'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    ),
    val_cfg=dict(),
    val_evaluator=dict(type='TinyMetric'),
    default_hooks=dict(
        checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto')
    ),
)


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)
    monkeypatch.setattr(TinyMetric, 'count', 0)


def validated(folder: Path, epochs: int, **changes: Any) -> None:
    run_tiny(folder, epochs, **VALIDATION, **changes)


def entries_of(folder: Path) -> list[dict]:
    (log,) = folder.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize(
    ('epochs', 'images', 'lines'), [(1, 40, 10), (4, 40, 12), (2, 6, 6)]
)
def test_ten_lines_of_the_loss(
    epochs: int, images: int, lines: int, tmp_path: Path
) -> None:
    changes = {'train_dataloader.dataset.count': images}
    run_tiny(tmp_path, epochs, **changes)
    assert sum('loss' in entry for entry in entries_of(tmp_path)) == lines


def test_metrics_stand_beside_the_loss(tmp_path: Path) -> None:
    """At the iteration of the validation, not at the number of the epoch."""
    validated(tmp_path, 3)
    loss, metrics = read_curves(tmp_path)
    assert [step for step, _ in loss] == list(range(1, 10))
    assert metrics['mIoU'] == [(3, 1.0), (6, 2.0), (9, 3.0)]


def test_terminal_gets_what_matters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No dumps, and last before the first step what the training is."""
    weights = tmp_path / 'weights.pth'
    state = {'backbone.weight': torch.ones(1, 1)}
    state['backbone.bias'] = torch.zeros(1)
    torch.save(state, weights)
    changes = {'optim_wrapper.paramwise_cfg': dict(bias_decay_mult=0.0)}
    run_tiny(tmp_path / 'work', 1, load_from=str(weights), **changes)
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    dumps = ('System environment', 'Hooks will be executed', 'Config:')
    dumps += ('paramwise_options', '"FileClient" will be deprecated')
    assert not any(dump in line for line in lines for dump in dumps)
    first = next(i for i, line in enumerate(lines) if 'Epoch(train)' in line)
    assert 'fills 2 of 2 tensors' in lines[first - 1]
    log = log_of(tmp_path / 'work')
    assert all(dump in log for dump in dumps)


@pytest.mark.parametrize('name', ('mFscore', 'own/mean_something_iou'))
def test_best_checkpoint_has_a_fixed_name(name: str, tmp_path: Path) -> None:
    validated(tmp_path, 2, **{'val_evaluator.name': name})
    (best,) = tmp_path.glob('best_*.pth')
    assert best.name.endswith('epoch_2.pth')
    assert (tmp_path / 'best.pth').read_bytes() == best.read_bytes()


def test_last_batch_of_one_image(tmp_path: Path) -> None:
    changes = {'train_dataloader.dataset.count': 5, 'model.is_normed': True}
    rates, _ = run_tiny(tmp_path / 'normed', 2, **changes)
    assert len(rates) == 4
    said = 'the last batch of 5 images in batches of 2 would be a single image'
    assert said in log_of(tmp_path / 'normed')
    changes['model.is_normed'] = False
    rates, _ = run_tiny(tmp_path / 'plain', 2, **changes)
    assert len(rates) == 6


def test_no_whole_batch(tmp_path: Path) -> None:
    changes = {
        'train_dataloader.dataset.count': 1,
        'train_dataloader.drop_last': True,
    }
    with pytest.raises(
        UserError, match='1 images, fewer than the batch size of 2'
    ):
        run_tiny(tmp_path, 1, **changes)


def test_weights_of_other_classes_are_named(tmp_path: Path) -> None:
    run_tiny(tmp_path / 'first', 1)
    changes = {
        'load_from': str(tmp_path / 'first' / 'epoch_1.pth'),
        'train_dataloader.dataset.classes': ('b', 'a'),
    }
    run_tiny(tmp_path / 'second', 1, **changes)
    said = 'load_from was trained for the classes a, b, and the data have b, a'
    assert said in log_of(tmp_path / 'second')
