"""Evaluation of data sets as people have them."""

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
from helpers.commands import forget_runs, skip_beautifier
from helpers.segmentation import small_config
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.visualization import Visualizer

from lvt_dense.apis.test import test as evaluate
from lvt_dense.utils.errors import UserError
from lvt_dense.visualization.seg_visualizer import SegVisualizer

NAME = 'deeplabv3_mobilevit_xxs_360_camvid'
SIZES = dict(a=(96, 72), b=(64, 96), c=(96, 72), d=(80, 64))
NAMES = tuple(f'thing {i}' for i in range(11))
PALETTE = [[20 * i, 255 - 20 * i, 30] for i in range(11)]


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise and random masks in two folders, each image of its own size."""
    folder = tmp_path_factory.mktemp('camvid')
    rng = np.random.RandomState(0)
    for stem, (width, height) in SIZES.items():
        for town in ('here', 'there'):
            image = folder / 'images' / 'val' / town / f'{stem}.jpg'
            mask = folder / 'labels' / 'val' / town / f'{stem}.png'
            for path in (image, mask):
                path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), rng.randint(0, 255, (height, width, 3)))
            cv2.imwrite(str(mask), rng.randint(0, 11, (height, width)))
    return folder


@pytest.fixture
def cfg(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A config for these images, at their own sizes."""
    skip_beautifier(monkeypatch)
    for kind in (Visualizer, SegVisualizer):
        kind._instance_dict.clear()
    cfg = small_config(NAME, root, tmp_path / 'work')
    loader = cfg.test_dataloader
    loader.dataset.pipeline = [
        step for step in loader.dataset.pipeline if step.type != 'Resize'
    ]
    return cfg


@pytest.fixture
def weights(cfg: Config, tmp_path: Path) -> str:
    """Random weights, trained for classes of other names."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    meta = dict(dataset_meta=dict(classes=NAMES, palette=PALETTE))
    state = MODELS.build(cfg.model).state_dict()
    path = tmp_path / 'net.pth'
    torch.save(dict(state_dict=state, meta=meta), path)
    return str(path)


def test_batches_of_different_sizes(cfg: Config, weights: str) -> None:
    one = evaluate(Config(cfg.to_dict()), weights)
    cfg.test_dataloader.batch_size = 3
    assert evaluate(cfg, weights) == one


def test_pictures_keep_folders_and_names(
    cfg: Config, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    forget_runs()  # whose logger writes where an earlier test looked
    evaluate(cfg, weights, show_dir=str(tmp_path / 'shown'))
    sheets = {f'{t}/{s}.jpg.png' for t in ('here', 'there') for s in SIZES}
    drawn = list((tmp_path / 'shown').rglob('*.png'))
    names = {p.relative_to(tmp_path / 'shown').as_posix() for p in drawn}
    assert {name for name in names if '_' not in name} == sheets
    labels = mmcv.imread(tmp_path / 'shown/here/a.jpg_labels.png', 'unchanged')
    mask = mmcv.imread(
        tmp_path / 'shown/here/a.jpg_mask.png', channel_order='rgb'
    )
    np.testing.assert_array_equal(mask, np.array(PALETTE)[labels])
    said = ''.join(capsys.readouterr())
    assert "trained for the classes ['thing 0'" in said


def test_pictures_replace_no_mask(
    cfg: Config, weights: str, tmp_path: Path
) -> None:
    masks = tmp_path / 'masks'
    (masks / 'here').mkdir(parents=True)
    (masks / 'here' / 'a.jpg.png').write_bytes(b'mine')
    before = {path: path.read_bytes() for path in masks.rglob('*.png')}
    with pytest.raises(UserError, match='--show-dir .* is there already'):
        evaluate(cfg, weights, show_dir=str(masks))
    assert {p: p.read_bytes() for p in masks.rglob('*.png')} == before
