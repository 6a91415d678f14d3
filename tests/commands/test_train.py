"""Options of ``lvt-dense train`` in a small run."""

from pathlib import Path

import pytest
from helpers.commands import run_tool, skip_beautifier
from mmengine.config import Config

from lvt_dense.config import load_config
from lvt_dense.scenes import write_coco

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
SIZES = (
    'train_dataloader.dataset.pipeline.3.scale=(64,64)',
    'val_dataloader.dataset.pipeline.1.scale=(64,64)',
)


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Log and folder of a run of three epochs at most."""
    data = tmp_path_factory.mktemp('scenes') / 'coco'
    write_coco(data, 10, seed=1, size=(96, 72), val_fraction=0.4)
    folder = tmp_path_factory.mktemp('work')
    options = '--epochs 3 --batch-size 2 --workers 0 --seed 5 --device cpu'
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        status = run_tool(
            'train',
            CONFIG,
            *('--data-root', data, '--work-dir', folder),
            *options.split(),
            *('--per-class', '--patience', 1),
            *('--cfg-options', *SIZES),
        )
    assert status == 0
    (log,) = folder.glob('*/*.log')
    return log.read_text(), folder


def test_log_says_what_changed(run: tuple[str, Path]) -> None:
    log, _ = run
    assert 'run: 3 epochs of 6 images, 9 iterations of 2' in log
    rate = load_config(CONFIG).optim_wrapper.optimizer.lr
    assert f'learning rate: {rate} for a batch of 4 -> ' in log
    assert 'averages over the last 10% of the updates' in log


def test_figures_of_every_class(run: tuple[str, Path]) -> None:
    log, folder = run
    for name in ('person', 'bicycle', 'car'):
        assert f'| {name} ' in log
    # that of all classes, not that of the first one
    assert list(folder.glob('best_coco_bbox_mAP_epoch_*.pth'))


def test_dumped_config_is_that_of_the_run(run: tuple[str, Path]) -> None:
    cfg = Config.fromfile(run[1] / 'ssdlite_mobilevit_xxs_192_demo.py')
    assert cfg.train_cfg.max_epochs == 3
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_dataloader.num_workers == 0
    assert cfg.randomness.seed == 5
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert 'lvt_dense.PatienceHook' in hooks
