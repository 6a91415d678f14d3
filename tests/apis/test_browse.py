"""What ``browse`` shows, and the pictures at the start of a training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from lvt_dense.apis.browse import choose
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.engine.train_samples import kept_random_state
from lvt_dense.scenes import write_coco, write_kitti, write_semantic

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('coco')
    write_coco(root, 8, size=(160, 120), seed=0, val_fraction=0.25)
    return root


def test_two_draws_of_the_smallest(coco: Path, tmp_path: Path) -> None:
    words = ('browse', CONFIGS / 'ssdlite_mobilevit_320_coco.py',
             '--data-root', coco, '--out', tmp_path, '--number', 2,
             '--epochs', 2, '--smallest', '--class', 'car')  # fmt: skip
    assert run_command(*words) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 5 and names[-1] == 'sheet.jpg'
    first, second = names[:2]
    assert first.split('_')[2] == second.split('_')[2]  # one image
    pixels = [np.asarray(Image.open(tmp_path / n)) for n in names[:2]]
    assert pixels[0].shape[1] == 320
    height = min(len(p) for p in pixels)
    assert np.abs(pixels[0][:height] - pixels[1][:height]).mean() > 1


def test_order_by_size(coco: Path) -> None:
    import_stack()
    cfg = load_config(str(CONFIGS / 'ssdlite_mobilevit_320_coco.py'))
    set_data_root(cfg, str(coco))
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    classes = list(dataset.metainfo['classes'])
    largest = choose(dataset, classes, 2, 'largest')
    smallest = choose(dataset, classes, 2, 'smallest')

    def areas(index: int) -> list[float]:
        boxes = [x['bbox'] for x in dataset.get_data_info(index)['instances']]
        return [(b[2] - b[0]) * (b[3] - b[1]) for b in boxes]

    everything = [a for i in range(len(dataset)) for a in areas(i)]
    assert max(areas(largest[0])) == max(everything)
    assert min(areas(smallest[0])) == min(everything)


@pytest.mark.parametrize(
    'words, message',
    [
        (['--class', 'cra'], 'or car'),
        (['--empty'], 'filter_cfg'),
        (['--number', '0'], 'have to be 1 or more'),
        (['--augment', 'heavy'], 'choose from none'),
    ],
)
def test_bad_input(
    words: list[str], message: str, coco: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    config = CONFIGS / 'ssdlite_mobilevit_320_coco.py'
    out = tmp_path / 'out'
    words = ['--data-root', str(coco), '--out', str(out), *words]
    assert run_command('browse', config, *words) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_semantic_by_the_pixels_of_a_class(tmp_path: Path) -> None:
    write_semantic(tmp_path / 'data', 'camvid', 4, size=(300, 220), seed=0)
    config = CONFIGS / 'deeplabv3_mobilevit_xxs_360_camvid.py'
    words = ('browse', config, '--data-root', tmp_path / 'data', '--out',
             tmp_path / 'out', '--number', 1)  # fmt: skip
    assert run_command(*words, '--class', 'car', '--largest') == 0
    assert len(list((tmp_path / 'out').iterdir())) == 2
    assert run_command(*words, '--largest') == 2


def test_boxes_in_space(tmp_path: Path) -> None:
    write_kitti(tmp_path / 'data', 4, size=(310, 94), seed=0)
    config = CONFIGS / 'monocon_mobilevit_kitti.py'
    words = ('browse', config, '--data-root', tmp_path / 'data', '--out',
             tmp_path / 'out', '--number', 1)  # fmt: skip
    assert run_command(*words) == 0
    assert (tmp_path / 'out/sheet.jpg').is_file()


def test_random_numbers_come_back() -> None:
    with kept_random_state():
        np.random.seed(0)
        torch.manual_seed(0)
        with kept_random_state(seed=3):
            np.random.rand(5)
            torch.rand(5)
        found = np.random.rand(), torch.rand(1).item()
        np.random.seed(0)
        torch.manual_seed(0)
        assert found == (np.random.rand(), torch.rand(1).item())


def test_pictures_at_the_start_of_a_training(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = []
    monkeypatch.setattr(
        'mmengine.visualization.Visualizer.add_image',
        lambda self, name, picture, step=0: added.append(name),
    )
    monkeypatch.setattr(
        'lvt_dense.engine.hooks.train_pictures_hook.has_remote_backend',
        lambda visualizer: True,
    )
    monkeypatch.setattr(
        'mmengine.runner.loops.EpochBasedTrainLoop.run_epoch',
        lambda loop: setattr(loop, '_epoch', loop._max_epochs),
    )
    config = CONFIGS / 'ssdlite_mobilevit_xxs_192_demo.py'
    status = run_command(
        'train', config, '--data-root', coco, '--work-dir', tmp_path,
        '--workers', 0, '--augment', 'light', '--cfg-options',
        'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
    )  # fmt: skip
    assert status == 0
    pictures = list((tmp_path / 'train_pictures').iterdir())
    assert len(pictures) == len(added) == 6
