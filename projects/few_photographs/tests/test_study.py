"""The study: its trials, what is not run again, and the table."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from few_photographs import study, trials
from helpers.own_data import make_shots, write_coco

from lvt_dense.utils.errors import UserError

ROW = dict(
    data='d', trial='t', images=None, updates=9, start='random', seconds=60
)


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['study.py', *map(str, words)])
    study.run(study.parse_args())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_coco(tmp_path / 'data', make_shots())


def test_table_has_mean_and_spread_over_seeds() -> None:
    rows = [
        {**ROW, 'seed': 0, 'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP': 0.2},
        {**ROW, 'seed': 1, 'coco/bbox_mAP_50': 0.6, 'coco/bbox_mAP': 0.2},
        {**ROW, 'images': 25, 'seed': 0, 'mIoU': 42.0, 'seconds': 30},
    ]
    lines = study.make_table(rows).splitlines()
    assert lines[2:] == [
        '| d | all | t | random | 9 | 2 | 55.0 ± 7.1 | 20.0 ± 0.0 |  | 60 |',
        '| d | 25 | t | random | 9 | 1 |  |  | 42.0 | 30 |',
    ]


def test_what_was_measured_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    done = []

    def train(trial: object, _data: object, key: dict, _args: object) -> dict:
        done.append((key['trial'], key['seed']))
        return dict(seconds=1)

    monkeypatch.setattr(study, '_train', train)
    words = ('run', data, '--out', tmp_path / 'out', '--trials', 'rtmdet_256')
    run(monkeypatch, *words)
    run(monkeypatch, *words, '--seeds', 0, 1)
    assert done == [('rtmdet_256', 0), ('rtmdet_256', 1)]
    assert len(study.read_results(tmp_path / 'out')) == 2


def test_unknown_trial_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match='--trials yolo: choose from ssdlite'):
        run(monkeypatch, 'run', tmp_path, '--trials', 'yolo')


@pytest.mark.parametrize('name', [n for n in trials.TRIALS if n[0] != 'd'])
def test_trials_fit_the_data(name: str, data: Path) -> None:
    trial = trials.TRIALS[name]
    cfg = trials.build(trial, data, updates=40, images=None)
    assert cfg.train_cfg.max_iters == 40
    assert cfg.train_cfg.val_interval == 40
    assert cfg.train_dataloader.batch_size == trial.batch
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(trial.rate)
    ends = [s['end'] for s in cfg.param_scheduler if 'end' in s]
    assert max(ends, default=40) == 40


@pytest.mark.release
def test_one_training_from_file_to_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    small = replace(trials.TRIALS['ssdlite_256'], size=64, batch=2)
    monkeypatch.setitem(trials.TRIALS, 'ssdlite_256', small)
    words = ('run', data, '--trials', 'ssdlite_256', '--updates', 12)
    run(monkeypatch, *words, '--images', 6, '--out', tmp_path / 'out')
    (row,) = study.read_results(tmp_path / 'out')
    assert row['seconds'] > 0 and 0 <= row['coco/bbox_mAP_50'] <= 1
    assert json.dumps(row)
    assert '| data | 6 | ssdlite_256 |' in study.make_table([row])
