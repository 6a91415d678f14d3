"""Normalization, anchors and box coding are those of the training."""

from pathlib import Path

import pytest
import torch
from helpers.commands import forget_runs, run_command
from helpers.own_data import make_shots, write_coco

from lvt_dense.config import load_config
from lvt_dense.engine.checkpoint_settings import (
    check_settings,
    read_config_text,
)

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'


def test_texts_are_read_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    text = (
        f'a = open({str(mark)!r}, "w")\n'
        'b = dict(c=[1, -2.5, (3, None)], d=dict(type="x"), e=[] + [1])\n'
        'f = {"g": True}\n'
    )
    assert read_config_text(text) == dict(
        a={}, b=dict(c=[1, -2.5, [3, None]], d=dict(type='x'), e=None),
        f=dict(g=True),
    )  # fmt: skip
    assert not mark.exists()
    assert read_config_text('a = (') == read_config_text(None) == {}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that holds nothing but its config."""
    path = tmp_path_factory.mktemp('made') / 'epoch_1.pth'
    text = load_config(CONFIG).dump()
    torch.save(dict(meta=dict(cfg=text), state_dict={}), path)
    return path


@pytest.mark.parametrize('options, words', [
    ({}, None),
    ({'model.data_preprocessor.mean': (0, 0, 0)}, None),
    ({'model.data_preprocessor.mean': [103, 116, 123]},
     'model.data_preprocessor.mean=[0.0, 0.0, 0.0], and the config has [103, '
     '116, 123]: results will be worse'),
    ({'model.data_preprocessor.bgr_to_rgb': True},
     'model.data_preprocessor.bgr_to_rgb=False, and the config has True'),
    ({'model.bbox_head.anchor_generator.strides': [16] * 6},
     'model.bbox_head.anchor_generator={'),
])  # fmt: skip
def test_what_weights_depend_on(
    options: dict,
    words: str | None,
    checkpoint: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    cfg = load_config(CONFIG)
    cfg.merge_from_dict(options)
    forget_runs()  # else the log of another training takes the lines
    check_settings(cfg, checkpoint)
    said = ''.join(capsys.readouterr())
    assert (words in said) if words else not said


def test_by_the_command(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Train, then test with the images normalized in another way."""
    data = write_coco(tmp_path / 'data', make_shots(2))
    small = (
        '--cfg-options',
        'train_dataloader.batch_size=2',
        *(f'{split}_dataloader.{option}' for split in ('train', 'val', 'test')
          for option in ('num_workers=0', 'persistent_workers=False')),
    )  # fmt: skip
    work = tmp_path / 'work'
    run_command('train', CONFIG, '--data', data, '--work-dir', work,
                '--start', 'none', '--epochs', 1, *small)  # fmt: skip
    words = 'was trained with model.data_preprocessor.std='
    test = ('test', work / Path(CONFIG.split('::')[1]), work / 'epoch_1.pth')
    assert run_command(*test, *small) == 0
    assert words not in ''.join(capfd.readouterr())
    other = 'model.data_preprocessor.std=[1,1,1]'
    assert run_command(*test, *small, other) == 0
    assert words in ''.join(capfd.readouterr())
