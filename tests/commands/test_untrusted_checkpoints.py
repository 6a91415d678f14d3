"""No command runs code that is in a checkpoint, nor do mm's own tools."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.attack import attack_with
from helpers.commands import run_command, run_script, skip_beautifier
from helpers.weight_server import File, serving
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint

from lvt_dense.scenes import write_coco

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
DEMO = Path(__file__).parents[2] / 'configs' / CONFIG.partition('::')[2]
OPTIONS = (
    'train_dataloader.dataset.pipeline.3.scale=(64,64)',
    'train_dataloader.batch_size=2',
    'train_dataloader.drop_last=True',
    *(
        f'{split}_dataloader.{option}'
        for split in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
    'val_dataloader.dataset.pipeline.1.scale=(64,64)',
    'test_dataloader.dataset.pipeline.1.scale=(64,64)',
    'train_cfg.max_epochs=1',
    'custom_hooks.0.momentum=0.5',
    'default_hooks.checkpoint.save_best=None',
)


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('scenes') / 'coco'
    write_coco(folder, 6, seed=1, size=(96, 72), val_fraction=0.34)
    return folder


@pytest.fixture(scope='module')
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('work')
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        assert train(data, work_dir) == 0
    return work_dir / 'epoch_1.pth'


def train(data: Path, work_dir: Path, *args: object, **options: object) -> int:
    changes = [f'{key}={value}' for key, value in options.items()]
    return run_command(
        'train',
        *(CONFIG, '--data-root', data, '--work-dir', work_dir, *args),
        *('--cfg-options', *OPTIONS, *changes),
    )


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / 'touched'


@pytest.fixture
def evil(trained: Path, target: Path) -> Path:
    """A checkpoint of a training that creates a file when it is run."""
    return attack_with(trained, target)


def test_the_attack_works(evil: Path, target: Path) -> None:
    torch.load(evil, weights_only=False)
    assert target.exists()


def test_train_from_weights(
    evil: Path, target: Path, data: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path, load_from=evil) == 0
    assert not target.exists()


def test_resume_goes_on(
    evil: Path, target: Path, data: Path, tmp_path: Path
) -> None:
    options = {'train_cfg.max_epochs': 2}
    assert train(data, tmp_path, '--resume', evil, **options) == 0
    assert not target.exists()
    old, new = (
        torch.load(path, weights_only=False)
        for path in (evil, tmp_path / 'epoch_2.pth')
    )
    steps = [each['ema_state_dict']['steps'] for each in (old, new)]
    assert steps[1] == 2 * steps[0] > 0
    assert new['meta']['iter'] == 2 * old['meta']['iter']
    history = new['message_hub']['log_scalars']['train/loss']
    assert type(history) is HistoryBuffer
    assert len(history.data[0]) == new['meta']['iter']
    momenta = [each['optimizer']['state'][0] for each in (old, new)]
    assert momenta[0].keys() == momenta[1].keys()


def test_pretrained(
    evil: Path, target: Path, data: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path, '--pretrained', evil) == 0
    assert not target.exists()


def run_test(evil: Path, data: Path, out: Path) -> int:
    options = ('--data-root', data, '--work-dir', out)
    return run_command(
        'test', CONFIG, evil, *options, '--cfg-options', *OPTIONS
    )


def run_visualize(evil: Path, data: Path, out: Path) -> int:
    source = data / 'val2017'
    return run_command('visualize', CONFIG, evil, source, '--out', out)


def run_export(evil: Path, data: Path, out: Path) -> int:
    # A size that is refused once the checkpoint is in the model: the rest
    # takes a minute.
    size = ('--size', '31x31')
    model = out / 'model.onnx'
    return run_command('export', CONFIG, evil, '--out', model, *size) - 2


def run_convert(evil: Path, data: Path, out: Path) -> int:
    backbone = ('--backbone', 'mobilevit_xxs')
    return run_command('convert', evil, out / 'converted.pth', *backbone)


def run_mmdet(evil: Path, data: Path, out: Path) -> int:
    import mmdet

    script = Path(mmdet.__file__).parent / '.mim/tools/test.py'
    prefix = {'img': 'val2017/'}
    config = out / 'config.py'
    config.write_text(f'_base_ = [{CONFIG!r}]')
    files = [
        f'test_dataloader.dataset.data_root={data}',
        f'test_dataloader.dataset.data_prefix.img={prefix["img"]}',
        f'test_evaluator.ann_file={data}/annotations/instances_val2017.json',
    ]
    options = ('--work-dir', out, '--cfg-options', *OPTIONS, *files)
    return run_script(script, config, evil, *options)


@pytest.mark.parametrize(
    'run', (run_test, run_visualize, run_export, run_convert, run_mmdet)
)
def test_commands(
    run: Callable[[Path, Path, Path], int],
    evil: Path,
    target: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    assert run(evil, data, tmp_path) == 0
    assert not target.exists()


def test_mmengine_itself(
    evil: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and URLs, as its runner, its hub and ``init_cfg`` load them."""
    monkeypatch.setenv('TORCH_HOME', str(evil.parent))
    with serving() as server:
        server.files['/evil.pth'] = File(evil.read_bytes())
        for source in (str(evil), f'{server.url}/evil.pth'):
            model = MODELS.build(Config.fromfile(DEMO).model)
            content = load_checkpoint(model, source)
            for name, expected in content['state_dict'].items():
                assert torch.equal(model.state_dict()[name], expected)
    assert not target.exists()


def test_inferencer_with_weights_alone(
    trained: Path,
    data: Path,
    target: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It builds the model of the config in the checkpoint, or refuses."""
    from mmdet.apis import DetInferencer

    image = next((data / 'val2017').iterdir())
    good = DetInferencer(weights=str(trained), device='cpu')
    assert 'predictions' in good(str(image), no_save_vis=True)
    content = torch.load(trained, weights_only=False)
    code = f'\nx = open({str(target)!r}, "w").close()\n'
    for part in (content['meta'], content['message_hub']['runtime_info']):
        if 'cfg' in part:
            part['cfg'] += code
    path = tmp_path / 'code.pth'
    torch.save(content, path)
    Config.fromstring(code, '.py')  # the attack works
    assert target.exists()
    target.unlink()
    with pytest.raises(ValueError, match='Cannot find the config'):
        DetInferencer(weights=str(path), device='cpu')
    assert not target.exists()
