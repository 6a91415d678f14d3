"""Variables of config files that have done their work."""

from pathlib import Path

import pytest
from helpers.commands import run_command

from lvt_dense.config import load_config
from lvt_dense.utils.config_variables import Source
from lvt_dense.utils.errors import UserError

BASE = """
max_iters = 40
root = 'data/'
scale = (64, 64)
pipeline = [dict(type='A'), dict(type='Resize', scale=scale)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
param_scheduler = [dict(type='PolyLR', end=max_iters)]
train_dataloader = dict(dataset=dict(root=root + 'x', pipeline=pipeline))
val_dataloader = train_dataloader
unused = 3
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / 'base.py'
    path.write_text(BASE)
    return path


@pytest.mark.parametrize(
    ('name', 'settings'),
    [
        ('max_iters', ['train_cfg.max_iters', 'param_scheduler.0.end']),
        (
            'scale',
            [
                'train_dataloader.dataset.pipeline.1.scale',
                'val_dataloader.dataset.pipeline.1.scale',
            ],
        ),
        (
            'root',
            ['train_dataloader.dataset.root', 'val_dataloader.dataset.root'],
        ),
        ('unused', []),
        ('train_cfg', []),
    ],
)
def test_what_a_variable_was_used_for(
    name: str, settings: list[str], base: Path
) -> None:
    assert Source(base).settings_of(name) == settings


@pytest.mark.parametrize('reference', ['_base_.scale', "'{{_base_.scale}}'"])
def test_variables_of_a_base(reference: str, base: Path) -> None:
    child = base.with_name('child.py')
    child.write_text(
        f"_base_ = './base.py'\nmodel = dict(size=[{reference}, 1])\n"
    )
    assert 'model.size.0' in Source(child).settings_of('scale')


@pytest.mark.parametrize(
    ('key', 'settings'),
    [
        ('max_iters', 'set train_cfg.max_iters, param_scheduler.0.end'),
        ('pipeline.0.type', 'set train_dataloader.dataset.pipeline.0.type'),
    ],
)
def test_options_for_variables_are_refused(
    key: str, settings: str, base: Path
) -> None:
    with pytest.raises(UserError, match='is a variable.*' + settings):
        load_config(str(base), {key: 5})
    assert load_config(str(base), {'train_cfg.max_iters': 5}).max_iters == 40


def test_command_line_names_the_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = Path(__file__).parents[2] / 'configs/pspnet_emo_1m_360_camvid.py'
    options = ('--cfg-options', 'crop_size=(64,64)')
    assert run_command('test', config, 'a.pth', *options) == 2
    said = capsys.readouterr().err
    assert 'train_dataloader.dataset.pipeline.' in said
    assert 'crop_size is a variable of the config file' in said


@pytest.mark.parametrize(
    ('lines', 'is_told'),
    [
        ('max_iters = 5', True),
        ('max_iters = 40', False),
        ('max_iters = 5\ntrain_cfg = dict(max_iters=max_iters)', False),
        ('other = 5', False),
    ],
)
def test_child_that_sets_a_variable(
    lines: str,
    is_told: bool,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        'lvt_dense.config.print_log', lambda text, **_: said.append(text)
    )
    child = base.with_name('child.py')
    child.write_text(f"_base_ = './base.py'\n{lines}\n")
    load_config(str(child))
    expected = 'max_iters has no effect there'
    assert any(expected in text for text in said) == is_told
