"""KittiMonoDataset on a tiny folder, and its messages for broken ones."""

import os
import pickle
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from helpers.kitti import HEIGHT, P2, WIDTH, write_kitti
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmengine.dataset import Compose
from PIL import Image

from lvt_dense.datasets.kitti import frames
from lvt_dense.datasets.kitti.dataset import KittiMonoDataset
from lvt_dense.scenes.writers.kitti import write_kitti as write_scenes
from lvt_dense.structures import box2d_from_boxes3d, resize_matrix
from lvt_dense.utils.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'lvt_dense'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_kitti(tmp_path / 'kitti')


def load(root: Path, split: str = 'train', **kwargs: Any) -> KittiMonoDataset:
    return KittiMonoDataset(
        data_root=str(root), ann_file=f'ImageSets/{split}.txt', **kwargs
    )


def test_frames_and_instances(root: Path) -> None:
    data = load(root)
    assert len(data) == 2
    info = data.get_data_info(0)
    assert info['sample_idx'] == '000000'
    assert (info['height'], info['width']) == (HEIGHT, WIDTH)
    assert np.allclose(info['cam2img'][:3], P2)
    assert os.path.isfile(info['img_path'])
    # Van and DontCare are no classes.
    car, pedestrian = info['instances']
    assert (car['bbox_label'], pedestrian['bbox_label']) == (2, 0)
    assert car['bbox_3d'] == [-2.0, 1.6, 12.0, 3.9, 1.5, 1.6, -1.57]
    assert pedestrian['occluded'] == 1 and pedestrian['truncated'] == 0
    assert data.get_cat_ids(0) == [2, 0]
    assert 'eval_labels' not in info


def test_builds_from_mmdet_by_its_prefixed_name(root: Path) -> None:
    config = dict(type='lvt_dense.KittiMonoDataset', data_root=str(root))
    assert len(MMDET_DATASETS.build(config)) == 2


def test_classes_can_be_fewer(root: Path) -> None:
    data = load(root, 'trainval', metainfo=dict(classes=('Car',)))
    labels = [data.get_cat_ids(i) for i in range(len(data))]
    assert labels == [[0], [], [], [0, 0]]


def test_empty_frames_are_filtered_in_training_only(root: Path) -> None:
    cfg = dict(filter_cfg=dict(filter_empty_gt=True))
    assert len(load(root, 'val', **cfg)) == 1
    assert len(load(root, 'val', test_mode=True, **cfg)) == 2
    assert len(load(root, 'val')) == 2


def test_test_mode_keeps_all_labels(root: Path) -> None:
    labels = load(root, test_mode=True).get_data_info(0)['eval_labels']
    assert labels.types.tolist() == ['Car', 'Pedestrian', 'Van', 'DontCare']


def test_a_test_set_needs_no_labels(root: Path) -> None:
    prefix = dict(img='training/image_2', calib='training/calib')
    data = load(root, data_prefix=prefix, test_mode=True)
    assert data.get_data_info(0)['instances'] == []
    assert data.get_data_info(0)['eval_labels'] is None


def test_cache_gives_the_same_and_reads_no_file(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = load(root, 'trainval', test_mode=True)
    assert len(list(cache.iterdir())) == 1

    def forbidden(*_: object) -> NoReturn:
        raise AssertionError('the cache was not used')

    monkeypatch.setattr(frames, 'read_labels', forbidden)
    again = load(root, 'trainval', test_mode=True)
    for i in range(len(fresh)):
        one, two = fresh.get_data_info(i), again.get_data_info(i)
        assert one['instances'] == two['instances']
        assert np.array_equal(one['cam2img'], two['cam2img'])
        types = [info['eval_labels'].types.tolist() for info in (one, two)]
        assert types[0] == types[1]


def test_cache_notices_a_changed_file(root: Path) -> None:
    load(root)
    path = root / 'training' / 'label_2' / '000001.txt'
    path.write_text(path.read_text().replace('Cyclist', 'Pedestrian'))
    assert load(root).get_cat_ids(1) == [0]


def test_cache_notices_a_touched_file_of_the_same_size(root: Path) -> None:
    load(root)
    path = root / 'training' / 'label_2' / '000001.txt'
    text = path.read_text()
    path.write_text(text.replace('Cyclist 0.00 0', 'Cyclist 0.00 2'))
    os.utime(path, (time.time() + 5, time.time() + 5))
    assert load(root).get_data_info(1)['instances'][0]['occluded'] == 2


@pytest.mark.parametrize('keep', [0, 100, 2000])
def test_damaged_cache_is_read_anew(
    root: Path, cache: Path, keep: Any
) -> None:
    load(root)
    path = next(cache.iterdir())
    path.write_bytes(path.read_bytes()[:keep])
    assert load(root).get_cat_ids(0) == [2, 0]


def test_cache_with_a_wrong_byte_is_read_anew(root: Path, cache: Path) -> None:
    whole = load(root).get_data_info(0)
    path = next(cache.iterdir())
    content = bytearray(path.read_bytes())
    # A digit of a number, in the middle of the boxes.
    content[content.index(b'bboxes.npy') + 200] ^= 1
    path.write_bytes(content)
    again = load(root).get_data_info(0)
    assert str(again) == str(whole)
    assert path.read_bytes() != content


def test_cache_holds_no_pickle(root: Path, cache: Path) -> None:
    load(root)
    with np.load(next(cache.iterdir()), allow_pickle=False) as arrays:
        assert all(arrays[key].dtype != object for key in arrays)


def test_no_cache_where_nothing_can_be_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert len(load(root)) == 2
    assert len(load(root)) == 2


def test_missing_list_of_frames(root: Path) -> None:
    with pytest.raises(UserError, match='test.txt: no such list of frames'):
        load(root, 'test')


@pytest.mark.parametrize(
    'folder, suffix',
    [('image_2', '.png'), ('calib', '.txt'), ('label_2', '.txt')],
)
def test_frames_without_files_name_list_and_line(
    root: Path, folder: str, suffix: str
) -> None:
    (root / 'training' / folder / f'000001{suffix}').unlink()
    message = rf'train.txt:2: frame 000001 has no file in .*{folder}'
    with pytest.raises(UserError, match=message):
        load(root)


def test_missing_folder(root: Path) -> None:
    prefix = dict(img='training/image_3', calib='training/calib')
    with pytest.raises(UserError, match='image_3: No such file or directory'):
        load(root, data_prefix=prefix)


def test_image_of_another_size_than_its_labels(root: Path) -> None:
    path = root / 'training' / 'image_2' / '000000.png'
    Image.new('RGB', (240, 80)).save(path)
    message = r'000000.txt:1: a box reaches to \(.*000000.png has 240 x 80'
    with pytest.raises(UserError, match=message):
        load(root)


def test_boxes_may_reach_beyond_every_edge(root: Path) -> None:
    path = root / 'training' / 'label_2' / '000001.txt'
    words = path.read_text().split()
    lines = []
    for box in ((-300, 5, 90, 60), (400, 5, 520, 60), (9, 100, 60, 190)):
        lines.append(' '.join([*words[:4], *map(str, box), *words[8:]]))
    path.write_text('\n'.join(lines))
    boxes = [item['bbox'] for item in load(root).get_data_info(1)['instances']]
    assert boxes == [[0, 5, 90, 60], [400, 5, 479, 60], [9, 100, 60, 159]]
    labels = load(root, test_mode=True).get_data_info(1)['eval_labels']
    assert labels.bboxes[0].tolist() == [-300, 5, 90, 60]


def test_image_that_is_none(root: Path) -> None:
    path = root / 'training' / 'image_2' / '000000.png'
    path.write_text('not found')
    message = '000000.png.*: cannot be read as image'
    with pytest.raises(UserError, match=message):
        load(root, test_mode=True)
    # Training can do without it.
    data = load(root)
    assert [data.get_data_info(i)['img_id'] for i in range(len(data))] == [
        '000001'
    ]
    path.with_name('000001.png').write_text('')
    with pytest.raises(UserError, match=message):
        load(root)


@pytest.mark.parametrize('suffix', ['.bmp', '.webp', '.JPG', '.tif'])
def test_image_formats_and_text_beside_images(root: Path, suffix: str) -> None:
    folder = root / 'training' / 'image_2'
    for path in list(folder.glob('*.png')):
        Image.open(path).save(path.with_suffix(suffix))
        path.unlink()
        path.with_suffix('.txt').write_text('a note')
        (folder / f'._{path.name}').write_text('of another system')
    data = load(root, 'trainval')
    assert len(data) == 4
    assert data.get_data_info(3)['img_path'].endswith(suffix)


def test_two_images_of_one_frame(root: Path) -> None:
    path = root / 'training' / 'image_2' / '000001.png'
    Image.open(path).save(path.with_suffix('.jpg'))
    with pytest.raises(UserError, match='000001.jpg and 000001.png are of'):
        load(root)


def test_identifiers_in_short(root: Path) -> None:
    (root / 'ImageSets' / 'short.txt').write_text('0\n000001.png\n')
    data = load(root, 'short')
    names = [data.get_data_info(i)['sample_idx'] for i in range(2)]
    assert names == ['000000', '000001']


@pytest.mark.parametrize(
    'prefix',
    [
        None,
        {},
        dict(img='training/image_2'),
        dict(calib='training/calib'),
        dict(img='training/image_2', label='training/label_2'),
        dict(img=None, label='training/label_2'),
    ],
)
def test_folders_that_are_not_named(root: Path, prefix: Any) -> None:
    assert load(root, data_prefix=prefix).get_cat_ids(0) == [2, 0]
    data = load(root, data_prefix=dict(img='training/image_2'), test_mode=True)
    assert data.get_data_info(0)['eval_labels'] is None


def test_training_without_labels(root: Path) -> None:
    prefix = dict(img='training/image_2', label=None)
    with pytest.raises(UserError, match='no labels to train on'):
        load(root, data_prefix=prefix)


def test_all_frames_without_a_list(root: Path) -> None:
    data = KittiMonoDataset(data_root=str(root), ann_file='')
    assert len(data) == 4
    (root / 'training' / 'label_2' / '000002.txt').unlink()
    with pytest.raises(UserError, match='frame 000002 has no file in .*label'):
        KittiMonoDataset(data_root=str(root), ann_file='')


def test_no_object_of_the_classes(root: Path) -> None:
    message = 'train.txt: no object of the class Truck, Tram in 2 frames; '
    with pytest.raises(UserError, match=message + '.*1 Van, 1 Cyclist'):
        load(root, metainfo=dict(classes=('Truck', 'Tram')))
    classes = dict(metainfo=dict(classes=('Truck',)))
    assert len(load(root, test_mode=True, **classes)) == 2


def test_mean_sizes_of_the_classes(root: Path) -> None:
    data = load(root, 'trainval', metainfo=dict(classes=('Car', 'Tram')))
    assert data.mean_sizes == [(3.9667, 1.5333, 1.6333), None]


def test_camera_of_an_image_alone(root: Path, tmp_path: Path) -> None:
    path = root / 'training' / 'image_2' / '000001.png'
    info = KittiMonoDataset.image_info(str(path))
    assert np.allclose(info['cam2img'][:3], P2)
    assert info['sample_idx'] == '000001'
    own = tmp_path / 'photo.png'
    with pytest.raises(UserError, match='photo.png: .* needs the camera'):
        KittiMonoDataset.image_info(str(own))
    own.with_suffix('.txt').write_text('P2: 9 0 1 0 0 9 1 0 0 0 1 0')
    assert KittiMonoDataset.image_info(str(own))['cam2img'][0, 0] == 9


def test_an_image_alone_passes_the_test_pipeline(root: Path) -> None:
    path = root / 'training' / 'image_2' / '000001.png'
    pipeline = Compose(
        [
            dict(type='LoadImageFromFile'),
            dict(type='lvt_dense.Resize3D', scale=(240, 80)),
            dict(type='lvt_dense.Pack3DInputs'),
        ]
    )
    sample = pipeline(KittiMonoDataset.image_info(str(path)))['data_samples']
    half = resize_matrix(0.5, 0.5) @ P2
    assert np.allclose(sample.cam2img[:3], half)
    assert np.allclose(sample.ori_cam2img[:3], P2)
    assert 'gt_instances_3d' not in sample


# ---------------------------------------------------------------- info files


def make_info(size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict:
    """What MMDetection3D's converter writes for one frame."""
    instance = dict(
        bbox=[100.0, 40.0, 150.0, 70.0],
        bbox_label=2,
        bbox_3d=[-2.0, 1.6, 12.0, 3.9, 1.5, 1.6, -1.57],
        bbox_label_3d=2,
        alpha=-1.4,
        truncated=0.1,
        occluded=1,
        score=0.0,
    )
    other = {**instance, 'bbox_label': -1, 'bbox_label_3d': -1}
    camera = dict(
        img_path='000000.png',
        height=np.int32(size[0]),
        width=np.int32(size[1]),
        cam2img=np.vstack([P2, [0, 0, 0, 1]]).tolist(),
    )
    names = {'Pedestrian': 0, 'Cyclist': 1, 'Car': 2, 'DontCare': -1}
    return dict(
        metainfo=dict(categories=names, info_version='1.1'),
        data_list=[
            dict(
                sample_idx=0,
                images=dict(CAM2=camera),
                instances=[instance, other],
            )
        ],
    )


def load_pickle(
    root: Path, content: object, **kwargs: Any
) -> KittiMonoDataset:
    path = root / 'kitti_infos_train.pkl'
    path.write_bytes(pickle.dumps(content))
    return KittiMonoDataset(data_root=str(root), ann_file=path.name, **kwargs)


def test_info_file(root: Path) -> None:
    info = load_pickle(root, make_info(), test_mode=True).get_data_info(0)
    assert info['sample_idx'] == '000000'
    assert os.path.isfile(info['img_path'])
    (car,) = info['instances']
    assert car['bbox_label'] == 2 and car['occluded'] == 1
    assert car['bbox_3d'] == [-2.0, 1.6, 12.0, 3.9, 1.5, 1.6, -1.57]
    assert np.allclose(info['cam2img'][:3], P2)
    assert info['eval_labels'].types.tolist() == ['Car', 'DontCare']


def test_info_file_with_code_is_refused_and_not_run(
    root: Path, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / 'run'),)

    with pytest.raises(UserError, match='plain data.*posix.mkdir'):
        load_pickle(root, dict(metainfo={}, data_list=[Evil()]))
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('content', [[], {'data_list': []}, 3])
def test_info_file_of_another_format(root: Path, content: object) -> None:
    with pytest.raises(UserError, match='no info file of format v2'):
        load_pickle(root, content)


def test_rendered_scenes_are_read_as_kitti(tmp_path: Path) -> None:
    write_scenes(tmp_path / 'scenes', 4, seed=3, size=(312, 94))
    data = load(tmp_path / 'scenes', 'trainval')
    gaps = []
    for i in range(len(data)):
        info = data.get_data_info(i)
        items = [x for x in info['instances'] if x['truncated'] == 0]
        boxes = torch.tensor([item['bbox_3d'] for item in items])
        expected = torch.tensor([item['bbox'] for item in items])
        shape = info['height'], info['width']
        found = box2d_from_boxes3d(
            boxes.reshape(-1, 7), info['cam2img'], shape
        )
        gaps.append((found - expected.reshape(-1, 4)).abs())
    gaps = torch.cat(gaps)
    assert len(gaps) > 4 and gaps.max() < 1.5


def test_real_split(real_data: Path) -> None:
    data = load(real_data / 'kitti', 'trainval', test_mode=True)
    assert len(data) == 81
    counts = np.zeros(3, dtype=int)
    for i in range(len(data)):
        np.add.at(counts, data.get_cat_ids(i), 1)
    assert counts.sum() == 459
