"""Options that have no effect, or do not fit, are named before the start."""

from pathlib import Path
from unittest import mock

import pytest
from helpers.commands import run_command
from helpers.own_data import make_shots, write_coco
from mmengine.config import Config

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
INSTANCES = 'lvt_dense::mask_rcnn_emo_coco.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('made') / 'data'
    return write_coco(folder, make_shots(2))


def start(
    data: Path, work: Path, *options: str, config: str = CONFIG
) -> tuple[int, list[Config]]:
    """Run the command up to the first step."""
    made: list[Config] = []
    with mock.patch(
        'lvt_dense.apis.train.build_runner',
        lambda cfg, *_, **__: (
            made.append(cfg) or (_ for _ in ()).throw(SystemExit(0))
        ),
    ):
        args = ('--data', data, '--work-dir', work, '--start', 'none')
        status = run_command('train', config, *args, '--cfg-options', *options)
    return status, made


def test_options_that_the_data_replace(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    options = ('model.bbox_head.num_classes=7', 'train_cfg.val_interval=1')
    status, made = start(data, tmp_path, *options)
    said = ''.join(capfd.readouterr())
    assert status == 0 and made[0].model.bbox_head.num_classes == 3
    assert said.count('has no effect') == 1
    assert (
        '--cfg-options model.bbox_head.num_classes=7 has no effect: with '
        '--data, it is 3'
    ) in said


def test_metrics_of_masks_need_a_model_with_masks(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    status, made = start(data, tmp_path, 'val_evaluator.metric=segm')
    assert status == 2 and not made
    assert (
        'val_evaluator.metric is segm, but the model predicts boxes without '
        'masks, for which there is bbox'
    ) in ''.join(capfd.readouterr())
    option = 'val_evaluator.metric=segm'
    assert start(data, tmp_path, option, config=INSTANCES)[0] == 0


def test_an_index_that_is_not_there(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    key = 'train_dataloader.dataset.pipeline.40.scale'
    assert start(data, tmp_path, f'{key}=(64,64)', 'work_dir=x')[0] == 2
    said = capfd.readouterr().err
    assert f'--cfg-options {key}=(64, 64) does not fit the config' in said
    assert len(said) < 400
