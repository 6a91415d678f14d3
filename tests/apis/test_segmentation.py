"""Training and pictures of segmenters, as a user meets them."""

import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from helpers.commands import skip_beautifier
from helpers.segmentation import IMAGE, small_config
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from lvt_dense.apis.train import train
from lvt_dense.apis.visualize import visualize
from lvt_dense.scenes import write_semantic
from lvt_dense.utils.errors import UserError

NAME = 'deeplabv3_mobilevit_xxs_360_camvid'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_semantic(tmp_path / 'camvid', 'camvid', 4, size=IMAGE)


@pytest.fixture
def cfg(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    skip_beautifier(monkeypatch)
    return small_config(NAME, root, tmp_path / 'work')


def test_batch_of_one_is_explained(cfg: Config) -> None:
    cfg.train_dataloader.batch_size = 1
    with pytest.raises(UserError, match='batch_size to 2 or more'):
        train(cfg)


def test_faulty_mask_stops_training_with_its_name(
    cfg: Config, root: Path
) -> None:
    masks = sorted((root / 'labels' / 'train').glob('*.png'))
    for path in masks:
        Image.fromarray(np.full(IMAGE[::-1], 12, np.uint8)).save(path)
    with pytest.raises(
        UserError, match=r'demo_\d+\.png has the label\(s\) 12'
    ):
        train(cfg)


def checkpoint(cfg: Config, path: Path) -> str:
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save(model.state_dict(), path)
    return str(path)


def test_pictures_of_a_folder_with_and_without_truth(
    cfg: Config, root: Path, tmp_path: Path
) -> None:
    weights = checkpoint(cfg, tmp_path / 'weights.pth')
    images, out = root / 'images' / 'train', tmp_path / 'out'
    truth = str(root / 'labels' / 'train')
    visualize(cfg, weights, str(images), str(out / 'alone'), opacity=1.0)
    visualize(cfg, weights, str(images), str(out / 'both'), annotations=truth)
    records = json.loads((out / 'alone' / 'predictions.json').read_text())
    assert len(records) == 3
    for record in records:
        size = record['height'] * record['width']
        assert sum(record['pixels'].values()) == size
    for path in images.iterdir():
        name = f'{path.name}.png'
        alone = mmcv.imread(str(out / 'alone' / name))
        both = mmcv.imread(str(out / 'both' / name))
        assert alone.shape[1] == 2 * IMAGE[0]  # image, prediction
        assert both.shape[1] == 4 * IMAGE[0]  # and truth and errors
        stem = out / 'alone' / path.name
        mask = mmcv.imread(f'{stem}_mask.png')
        overlay = mmcv.imread(f'{stem}_overlay.png')
        np.testing.assert_array_equal(mask, overlay)
        labels = mmcv.imread(f'{stem}_labels.png', 'unchanged')
        assert labels.shape == mask.shape[:2]


def test_pictures_of_a_split(cfg: Config, tmp_path: Path) -> None:
    weights = checkpoint(cfg, tmp_path / 'weights.pth')
    visualize(cfg, weights, 'val', str(tmp_path / 'val'))
    (labels,) = (tmp_path / 'val').glob('*_labels.png')
    sheet = mmcv.imread(str(labels).replace('_labels', ''))
    assert sheet.shape[1] == 4 * IMAGE[0]
