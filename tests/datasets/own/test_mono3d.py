"""KITTI folders with any classes."""

from pathlib import Path

import pytest
from helpers.kitti import OBJECTS, write_kitti
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from lvt_dense.config import load_config
from lvt_dense.datasets.own import use_data
from lvt_dense.utils.errors import UserError


def config(head: str) -> Config:
    """A monocular 3D recipe."""
    return load_config(f'lvt_dense::{head}_mobilevit_kitti.py')


def rename(root: Path, **names: str) -> None:
    """Give the objects other classes."""
    for path in (root / 'training' / 'label_2').iterdir():
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(f'{old} ', f'{new} ')
        path.write_text(text)


def test_classes_of_ones_own_and_their_sizes(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'data')
    rename(root, Car='Forklift', Pedestrian='Worker', Cyclist='Worker')
    cfg = use_data(config('fcos3d'), root, report_dir=tmp_path / 'report')
    classes = ('Forklift', 'Worker', 'Van')
    assert cfg.model.bbox_head.num_classes == 3
    lengths = [dims[0] for dims in cfg.model.bbox_head.base_dims]
    assert lengths == pytest.approx([(3.9 + 4.2 + 3.8) / 3, 1.3, 5.0], 1e-3)
    assert cfg.default_hooks.checkpoint.save_best == (
        'KITTI/3D_AP40_moderate_strict'
    )
    init_default_scope('mmdet')
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert train.metainfo['classes'] == classes
    val = DATASETS.build(cfg.val_dataloader.dataset)
    assert (len(train), len(val)) == (2, 2)
    labels = [i['bbox_label'] for i in train.get_data_info(0)['instances']]
    assert labels == [0, 1, 2]
    assert len(list((tmp_path / 'report').glob('*.png'))) == 2


def test_kittis_own_classes_are_kept(tmp_path: Path) -> None:
    cfg = use_data(config('monocon'), write_kitti(tmp_path / 'data'))
    classes = cfg.train_dataloader.dataset.metainfo.classes
    assert tuple(classes) == ('Pedestrian', 'Cyclist', 'Car')
    assert cfg.model.bbox_head.num_classes == 3


def test_without_lists_val_is_cut(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'data')
    for path in (root / 'ImageSets').iterdir():
        path.unlink()
    cfg = use_data(config('monocon'), root, ['Car', 'Pedestrian', 'Cyclist'])
    init_default_scope('mmdet')
    sets = [
        DATASETS.build(cfg[f'{s}_dataloader'].dataset)
        for s in ('train', 'val')
    ]
    names = [
        {d.get_data_info(i)['sample_idx'] for i in range(len(d))} for d in sets
    ]
    assert names[0] | names[1] == set(OBJECTS)
    assert not names[0] & names[1]


def test_other_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / 'label_2').mkdir()
    (tmp_path / 'label_2' / '0.txt').write_text('')
    with pytest.raises(UserError, match='looked for KITTI folders'):
        use_data(config('monocon'), tmp_path)
