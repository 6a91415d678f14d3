"""Images with rare classes, drawn more often."""

import math
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.own_data_commands import DETECTOR, SEGMENTER, load, read
from mmengine.config import Config
from mmengine.registry import DATASETS

from lvt_dense.datasets import balance
from lvt_dense.datasets.balance import (
    choose_threshold,
    find_presence,
    repeat_factors,
    repeat_indices,
)
from lvt_dense.datasets.samplers import SizedIndex
from lvt_dense.engine.balance import describe, use_balance
from lvt_dense.engine.schedules import count_images
from lvt_dense.scenes import write_coco, write_semantic
from lvt_dense.utils.errors import UserError


def sets(*labels: str) -> list[frozenset[int]]:
    return [frozenset(map(int, each)) for each in labels]


# -------------------------------------------------------------------- factors
def test_factors_by_hand() -> None:
    """Class 0 in all of eight images, 1 in two, 2 in one, one has none."""
    presence = [*sets('0', '0', '0', '0', '01', '012', '0'), frozenset()]
    factors = repeat_factors(presence, 7 / 8)
    one, two = math.sqrt(7 / 2), math.sqrt(7)
    assert factors == pytest.approx([1, 1, 1, 1, one, two, 1, 1])
    assert repeat_factors(presence, 0.001) == [1] * 8
    assert choose_threshold(presence) == 7 / 8
    assert choose_threshold([frozenset()] * 3) == 0


def test_an_epoch_at_most_doubles() -> None:
    presence = [*sets(*['0'] * 50), *sets(*(str(1 + i % 8) for i in range(8)))]
    threshold = choose_threshold(presence)
    assert threshold == 50 / 58  # short enough
    many = [*sets('0'), *(frozenset([0, i]) for i in range(1, 100))]
    threshold = choose_threshold(many)
    assert threshold < 0.1
    total = sum(repeat_factors(many, threshold))
    assert 1.8 * len(many) < total <= 2 * len(many)


def test_fractions_add_up() -> None:
    assert repeat_indices([1.5, 1.5, 1.0, 1.5, 1.5]) == [0, 0, 1, 2, 3, 3, 4]
    assert repeat_indices([2.0, 1.0]) == [0, 0, 1]
    factors = np.random.default_rng(0).uniform(1, 3, 200)
    assert abs(len(repeat_indices(factors)) - factors.sum()) < 1
    assert set(repeat_indices(factors)) == set(range(200))


def test_what_is_said() -> None:
    presence = [*sets(*['0'] * 116), *sets(*['01'] * 4)]
    lines = describe(['person', 'bear'], presence, 1.0)
    assert lines == [
        '--balance: oversample_thr=1, an epoch has 138 images instead of 120',
        'class bear in 4 of 120 images is drawn 5.5 times as often',
    ]
    assert 'no class is rarer' in describe(['a'], sets('0', '0'), 1.0)[0]


# ----------------------------------------------------------------------- data
@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes') / 'own'
    write_coco(root, 12, seed=3, size=(96, 72), val_fraction=0.25)
    return root


@pytest.fixture(scope='module')
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('masks')
    for split in ('train', 'val'):
        for number in range(6):
            image = np.full((40, 50, 3), 90, np.uint8)
            label = np.zeros((40, 50), np.uint8)
            label[:20] = 1
            if number == 0:
                label[30:] = 2
            name = f'{split}/{number}.png'
            for folder, picture in (('images', image), ('masks', label)):
                path = root / 'own' / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture)
    return root / 'own'


def balanced(cfg: Config) -> Any:
    """The balanced part of a training set, inside its wrappers."""
    dataset = load(cfg)
    while not isinstance(dataset, balance.BalancedDataset):
        dataset = dataset.dataset
    return dataset


def test_detection(scenes: Path) -> None:
    cfg = read(DETECTOR, scenes)
    before = count_images(cfg)
    lines = use_balance(cfg)
    dataset = balanced(cfg)
    own = dataset.dataset
    truth = [
        {i['bbox_label'] for i in own.get_data_info(k)['instances']
         if not i['ignore_flag']}
        for k in range(len(own))
    ]  # fmt: skip
    assert dataset.presence == truth
    assert count_images(cfg) > before
    assert f'instead of {len(own)}' in lines[0]
    assert dataset.get_cat_ids(0) == sorted(truth[dataset.repeat_indices[0]])
    sized = dataset._get_ori_dataset_idx(SizedIndex(1, 64, 96))
    assert (sized.height, sized.width) == (64, 96)
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)
    with pytest.raises(UserError, match='lvt_dense.BalancedDataset alre'):
        use_balance(cfg)


def test_inside_of_wrappers(scenes: Path) -> None:
    """Repeated, mixed and exchanged pipelines."""
    cfg = read(DETECTOR, scenes)
    inner = cfg.train_dataloader.dataset
    while 'dataset' in inner:
        inner = inner.dataset
    mixed = dict(type='mmdet.MultiImageMixDataset', pipeline=[], dataset=inner)
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=3, dataset=mixed
    )
    use_balance(cfg)
    outer = load(cfg)
    dataset = outer.dataset.dataset
    assert len(outer) == 3 * len(dataset) > 3 * len(dataset.dataset)
    dataset.pipeline = len
    assert dataset.dataset.pipeline is len


def test_concatenation(scenes: Path) -> None:
    cfg = read(DETECTOR, scenes)
    part = cfg.train_dataloader.dataset
    while 'dataset' in part:
        part = part.dataset
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[part, part]
    )
    use_balance(cfg)
    dataset = load(cfg)
    half = len(dataset.presence) // 2
    assert dataset.presence[:half] == dataset.presence[half:]


def test_semantic(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = read(SEGMENTER, masks)
    lines = use_balance(cfg)
    assert 'in 1 of 6 images is drawn 2.0 times as often' in lines[1]
    monkeypatch.setattr(balance, 'map_in_threads', lambda _, items, *__: (
        [] if not items else pytest.fail('a map is read again')
    ))  # fmt: skip
    dataset = balanced(cfg)
    assert dataset.presence == sets('012', *['01'] * 5)
    assert dataset.repeat_indices == [0, 0, 1, 2, 3, 4, 5]


def test_data_that_do_not_say() -> None:
    @DATASETS.register_module(force=True)
    class SilentDataset:
        metainfo = dict(classes=('a',))

        def __len__(self) -> int:
            return 1

        def get_data_info(self, index: int) -> dict:
            return dict(img_path='a.png')

    with pytest.raises(UserError, match='SilentDataset does not list the'):
        find_presence(SilentDataset())


def test_rendered_masks(tmp_path: Path) -> None:
    """Labels of the data set, not of the file: ADE20K's 0 is nothing."""
    write_semantic(tmp_path, 'ade20k', 4, seed=1, size=(96, 72))
    cfg = Config.fromfile('configs/deeplabv3_emo_1m_512_ade20k.py')
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.data_root = str(tmp_path)
    use_balance(cfg)
    built = balanced(cfg)
    assert all(max(labels) < 150 for labels in built.presence if labels)
    sample = built.dataset[0]['data_samples'].gt_sem_seg.data.unique()
    assert set(sample.tolist()) - {255} <= built.presence[0]
