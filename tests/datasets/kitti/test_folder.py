"""Folders in KITTI's layout with any classes."""

from pathlib import Path

import pytest
from helpers.kitti import write_kitti
from mmdet.registry import DATASETS

from lvt_dense.datasets.kitti.folder import is_kitti_folder, scan_kitti_folder
from lvt_dense.utils.errors import UserError


class _SizedHead:
    def __init__(self, num_classes: int, base_dims: list) -> None: ...


class _PlainHead:
    def __init__(self, num_classes: int) -> None: ...


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return write_kitti(tmp_path / 'kitti')


def test_classes_counts_and_sizes(root: Path) -> None:
    folder = scan_kitti_folder(root)
    assert folder.classes == ('Car', 'Cyclist', 'Pedestrian', 'Van')
    assert folder.frames == tuple(f'00000{i}' for i in range(4))
    assert folder.splits['train'] == ('000000', '000001')
    assert folder.counts['train'] == dict(
        Car=1, Pedestrian=1, Van=1, Cyclist=1
    )
    assert folder.counts['val'] == dict(Car=2)
    assert folder.mean_sizes['Car'] == (3.9667, 1.5333, 1.6333)
    assert folder.mean_sizes['Van'] == (5.0, 2.1, 1.9)


@pytest.mark.parametrize('parent', ['training', '', 'train'])
def test_layouts_without_lists(root: Path, parent: str) -> None:
    for path in (root / 'ImageSets').iterdir():
        path.unlink()
    for path in list((root / 'training').iterdir()):
        (root / parent).mkdir(exist_ok=True)
        path.rename(root / parent / path.name)
    assert is_kitti_folder(root)
    folder = scan_kitti_folder(root)
    assert list(folder.splits) == ['all'] and len(folder.splits['all']) == 4
    data = DATASETS.build(folder.dataset_settings('all', ['van']))
    assert data.metainfo['classes'] == ('Van',) and len(data) == 4


def test_settings_of_data_set_and_head(root: Path, tmp_path: Path) -> None:
    folder = scan_kitti_folder(root)
    classes = ('Van', 'car')
    data = DATASETS.build(folder.dataset_settings('train', classes))
    assert data.get_cat_ids(0) == [1, 0]
    assert data.metainfo['classes'] == ('Van', 'Car')
    own = tmp_path / 'mine.txt'
    own.write_text('000003\n')
    data = DATASETS.build(folder.dataset_settings(str(own), classes))
    assert data.get_cat_ids(0) == [1, 1]
    assert folder.head_settings(_SizedHead, classes) == dict(
        num_classes=2, base_dims=[[5.0, 2.1, 1.9], [3.9667, 1.5333, 1.6333]]
    )
    assert folder.head_settings(_PlainHead) == dict(num_classes=4)


def test_folders_that_cannot_be_used(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no label has the class Bus; there'):
        scan_kitti_folder(root).dataset_settings('train', ['Bus'])
    (tmp_path / 'empty').mkdir()
    assert not is_kitti_folder(tmp_path / 'empty')
    with pytest.raises(UserError, match='image_2, calib, label_2 in training'):
        scan_kitti_folder(tmp_path / 'empty')
    for path in (root / 'training' / 'label_2').iterdir():
        path.write_text('')
    with pytest.raises(UserError, match='no object but DontCare in 4 label'):
        scan_kitti_folder(root)
    for path in (root / 'training' / 'calib').iterdir():
        path.unlink()
    with pytest.raises(UserError, match='no frame has.*calib holds nothing'):
        scan_kitti_folder(root)
