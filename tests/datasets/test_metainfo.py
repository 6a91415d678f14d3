"""Names of classes: the checkpoint's, the config's, the data set's."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from lvt_dense.compat.stack import import_stack
from lvt_dense.datasets.metainfo import (
    find_metainfo,
    metainfo_of_checkpoint,
    metainfo_of_config,
)


def config(kind: str, scope: str, **keys: object) -> Config:
    """A config with a data set for testing, ready to look classes up."""
    import_stack()
    init_default_scope(scope)
    dataset = dict(type=kind, **keys)
    return Config(
        dict(default_scope=scope, test_dataloader=dict(dataset=dataset))
    )


@pytest.mark.parametrize(
    ('kind', 'scope', 'label', 'name', 'color'),
    [
        ('CocoDataset', 'mmdet', 21, 'bear', (174, 57, 255)),
        ('VOCDataset', 'mmdet', 19, 'tvmonitor', (183, 130, 88)),
        ('ADE20KDataset', 'mmseg', 149, 'flag', (92, 0, 255)),
        ('CityscapesDataset', 'mmseg', 18, 'bicycle', (119, 11, 32)),
        ('PascalVOCDataset', 'mmseg', 0, 'background', (0, 0, 0)),
        ('lvt_dense.CamVidDataset', 'mmseg', 3, 'road', (128, 64, 128)),
    ],
)
def test_data_set_in_its_own_scope(
    kind: str, scope: str, label: int, name: str, color: tuple
) -> None:
    metainfo = metainfo_of_config(config(kind, scope))
    assert metainfo['classes'][label] == name
    assert metainfo['palette'][label] == color


def test_config_overrides_the_data_set(tmp_path: Path) -> None:
    cfg = config('CocoDataset', 'mmdet', metainfo=dict(classes=('bear',)))
    metainfo = metainfo_of_config(cfg)
    assert metainfo['classes'] == ('bear',)
    assert metainfo['palette'] == [(174, 57, 255)]
    path = tmp_path / 'names.txt'
    path.write_text('nut\nbolt\n')
    cfg = config('CocoDataset', 'mmdet', metainfo=dict(classes=str(path)))
    assert metainfo_of_config(cfg)['classes'] == ('nut', 'bolt')
    assert 'palette' not in metainfo_of_config(cfg)


def test_checkpoint_comes_first(tmp_path: Path) -> None:
    cfg = config('CocoDataset', 'mmdet')
    path = tmp_path / 'net.pth'
    names = ['nut', 'bolt', 'screw']
    meta = dict(dataset_meta=dict(CLASSES=names))
    torch.save(dict(state_dict=dict(a=torch.zeros(1)), meta=meta), path)
    metainfo = find_metainfo(cfg, path)
    assert metainfo['classes'] == tuple(names)
    assert 'palette' not in metainfo  # COCO's colors are for other classes
    torch.save(dict(a=torch.zeros(1)), path)
    assert find_metainfo(cfg, path)['classes'][21] == 'bear'


def test_checkpoints_of_older_and_odd_kinds() -> None:
    old = dict(meta=dict(CLASSES=('a', 'b'), PALETTE=[[1, 2, 3], [4, 5, 6]]))
    assert metainfo_of_checkpoint(old) == dict(
        classes=('a', 'b'), palette=[(1, 2, 3), (4, 5, 6)]
    )
    one = dict(meta=dict(dataset_meta=dict(classes='a')))
    assert metainfo_of_checkpoint(one) == dict(classes=('a',))
    for content in ({}, None, dict(meta=None), dict(meta=dict(epoch=1))):
        assert metainfo_of_checkpoint(content) == {}
