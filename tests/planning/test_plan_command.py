"""``lvt-dense train --data DIR`` without a config, and what follows it."""

import json
from pathlib import Path
from unittest import mock

import pytest
from helpers import own_data
from helpers.commands import run_command, skip_beautifier
from helpers.own_data_commands import read
from mmengine.config import Config

from lvt_dense.config import find_run, load_config
from lvt_dense.planning import choices as rules

UPDATES = 12
NAMES = (
    *('task', 'data', 'recipe', 'start', 'batch size', 'image size'),
    *('length', 'augmentation', 'learning rate', 'validation', 'time'),
    'config',
)


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('labeled') / 'small parts'
    folder.mkdir()
    return own_data.write_voc(folder, own_data.make_shots(6))


@pytest.fixture(scope='module')
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('here')


@pytest.fixture(scope='module')
def trained(data: Path, here: Path) -> dict:
    """What the command gives back of a training that ends long before."""
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        patch.chdir(here)
        patch.setattr(rules, 'MOST_EPOCHS', UPDATES * 2 // 6)
        printed: list[str] = []
        patch.setattr('builtins.print', lambda *w, **k: printed.append(w[0]))
        options = ('--minutes', 20, '--device', 'cpu', '--json')
        options += ('--start', 'none')
        assert run_command('train', '--data', data, *options) == 0
    return json.loads(printed[-1])['result'] | dict(printed=printed)


@pytest.fixture(autouse=True)
def in_the_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)


def test_choices_are_said_with_their_reasons(trained: dict) -> None:
    choices = trained['plan']['choices']
    assert tuple(choice['name'] for choice in choices) == NAMES
    found = {choice['name']: choice for choice in choices}
    assert found['task']['value'] == 'detection'
    assert found['length']['value'] == f'{UPDATES} updates, 4 epochs'
    assert 'more would not help' in found['length']['reason']
    assert found['start']['reason'] == 'as --start says'
    lines = [x for x in trained['printed'] if x.startswith(NAMES)]
    assert len(lines) == len(NAMES)
    assert max(map(len, '\n'.join(lines).splitlines())) < 80


def test_config_opens_with_its_command(trained: dict, data: Path) -> None:
    file = Path(trained['plan']['file'])
    assert file == Path('work_dirs/small_parts/small_parts.py')
    command = f"lvt-dense train {file} --data '{data}' --device cpu"
    command += ' --start none'
    assert trained['plan']['command'] == command
    assert f'#   {command}\n' in file.read_text()
    assert "_base_ = ['lvt_dense::ssdlite_mobilevit" in file.read_text()


def test_training_ends_as_planned(trained: dict) -> None:
    folder = Path(trained['folder'])
    assert (folder / f'iter_{UPDATES}.pth').is_file()
    (log,) = folder.glob('*/*.log')
    assert f'Iter(train) [{UPDATES}/{UPDATES}]' in log.read_text()
    assert log.read_text().count('Iter(val)') >= 3


def test_file_gives_the_same_training(trained: dict, data: Path) -> None:
    """Up to where the options of a training begin."""
    file = trained['plan']['file']
    again = read(file, data)
    first = Config.fromfile(find_run(trained['folder'])[0])
    for part in ('train_cfg', 'param_scheduler', 'val_dataloader', 'model',
                 'randomness', 'train_dataloader'):  # fmt: skip
        assert again[part] == first[part], part
    assert (
        again.default_hooks.param_scheduler.type == 'lvt_dense.TimeLimitHook'
    )
    assert again.optim_wrapper.optimizer.lr == first.optim_wrapper.optimizer.lr


def test_folder_stands_for_config_and_checkpoint(
    trained: dict, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = trained['folder']
    config, checkpoint = find_run(folder)
    assert Path(config).name == 'small_parts_with_data.py'
    assert Path(checkpoint).name == 'best.pth'
    assert load_config(folder).model.bbox_head.num_classes == 3
    assert run_command('test', folder) == 0
    image = next((data / 'JPEGImages').iterdir())
    for command in ('predict', 'visualize'):
        out = tmp_path / command
        assert run_command(command, folder, image, '--out', out) == 0
        assert list(out.glob('*.png'))
    assert run_command('complexity', folder) == 0
    made = []
    with mock.patch(
        'lvt_dense.apis.export.export',
        lambda cfg, checkpoint, out, **_: made.append((checkpoint, out)) or {},
    ):
        assert run_command('export', folder) == 0
    assert made == [(checkpoint, f'{folder}/small_parts.onnx')]


def test_earlier_training_is_kept(
    trained: dict, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('lvt_dense.planning.plan.time_step', lambda *_, **k: 1)
    cfg = planned(data, '--batch-size', 3, '--augment', 'strong')
    assert cfg.train_dataloader.batch_size == 3
    file = Path('work_dirs/small_parts_2/small_parts_2.py')
    text = file.read_text()
    assert cfg.filename == str(file) and 'as --batch-size says' in text
    assert 'mmdet.Expand' in text


def planned(data: Path, *options: object) -> Config:
    """The config that a plan without a training comes to."""
    made = []
    with mock.patch(
        'lvt_dense.apis.train.train', lambda cfg, **_: made.append(cfg)
    ):
        args = ('--data', data, '--minutes', 20, *options)
        assert run_command('train', *args) == 0
    return made[0]


def error_of(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    assert run_command('train', *options) == 2
    return capsys.readouterr().err


def test_errors(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'
    said = error_of(capsys)
    assert 'give a config, or --data DIR' in said
    both = ('--minutes', 8, '--epochs', 20)
    assert (
        '--minutes 8 and --epochs 20 both set the length: drop --epochs to '
        'train for 8 minutes, or --minutes to train for 20 epochs'
    ) in error_of(capsys, '--data', data, *both)
    assert '--minutes 8 and' in error_of(capsys, recipe, '--data', data, *both)
    assert '--minutes -1: must be above 0' in error_of(
        capsys, '--data', data, '--minutes=-1'
    )
    said = error_of(capsys, recipe, '--data', data, '--task', 'semantic')
    assert '--task semantic chooses a recipe, but lvt_dense::' in said
    said = error_of(capsys, '--data', data, '--resume')
    assert '--resume needs its config' in said
    assert not list(tmp_path.iterdir())
    said = error_of(capsys, '--data', data, '--minutes', 0.01)
    assert '--minutes 0.01: start-up, reading the data' in said
    assert run_command('test', tmp_path) == 2
    assert 'holds no config' in capsys.readouterr().err
    assert run_command('test', recipe) == 2
    assert 'give a checkpoint as well, or the work' in capsys.readouterr().err
    assert run_command('export', recipe) == 2
    assert '--out FILE' in capsys.readouterr().err


def test_given_config_is_fitted_to_the_time(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('lvt_dense.planning.plan.time_step', lambda *_, **k: 1)
    cfg = read('lvt_dense::retinanet_emo_1m_coco.py', data, '--minutes', 60)
    name = 'retinanet_emo_1m_coco_60min'
    assert Path(cfg.filename).name == f'{name}.py'
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert cfg.train_dataloader.batch_size == 2
    assert 0 < cfg.train_cfg.max_iters <= 3600
    hook = cfg.default_hooks.param_scheduler
    assert (hook.type, hook.minutes) == ('lvt_dense.TimeLimitHook', 60)
