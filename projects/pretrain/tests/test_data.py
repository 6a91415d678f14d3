"""Data sets of folders, crops, accuracy, and the cutting of objects."""

import json
import shutil
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from helpers.commands import run_script
from pretrain.crop_objects import cut_square
from pretrain.data import ClassFolderDataset, RandomResizedCrop
from pretrain.evaluation import TopKAccuracy

from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError

CUT = Path(__file__).parents[1] / 'crop_objects.py'


def listed(root: Path, split: str) -> ClassFolderDataset:
    return ClassFolderDataset(
        data_root=str(root), data_prefix=dict(img_path=f'{split}/')
    )


def test_classes_are_those_of_training(folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(folders, tmp_path / 'classes')
    shutil.rmtree(root / 'val' / 'blue')
    (root / 'train' / '.hidden').mkdir()
    (root / 'val' / 'red' / 'notes.txt').write_text('no image')
    data = listed(root, 'val')
    assert data.metainfo['classes'] == ('blue', 'green', 'red')
    assert {data[i]['gt_label'] for i in range(len(data))} == {1, 2}
    assert len(data) == 6 and len(listed(root, 'train')) == 24


def spoil(root: Path, how: str) -> None:
    if how == 'missing':
        shutil.rmtree(root / 'train')
    elif how == 'flat':
        shutil.rmtree(root / 'train')
        (root / 'train').mkdir()
        (root / 'train' / 'a.png').touch()
    elif how == 'empty':
        shutil.rmtree(root / 'train' / 'red')
        (root / 'train' / 'red').mkdir()
    else:
        (root / 'val' / 'red').rename(root / 'val' / 'rot')


@pytest.mark.parametrize(
    ('how', 'text'),
    [
        ('missing', 'train is not there'),
        ('flat', 'has no folders'),
        ('empty', 'red has no images'),
        ('unknown', 'rot is none of the 3 classes: blue, green, red'),
    ],
)
def test_bad_folders(
    folders: Path, tmp_path: Path, how: str, text: str
) -> None:
    root = shutil.copytree(folders, tmp_path / 'classes')
    spoil(root, how)
    with pytest.raises(UserError, match=text):
        listed(root, 'val')


def test_random_part() -> None:
    np.random.seed(0)
    crop = RandomResizedCrop(scale=(32, 64), area=(0.2, 0.5))
    image = np.zeros((50, 80, 3), np.uint8)
    for _ in range(50):
        left, top, right, bottom = crop._draw(image.shape)
        width, height = right - left + 1, bottom - top + 1
        assert min(left, top) >= 0 and right < 80 and bottom < 50
        assert 0.18 < width * height / 4000 < 0.53
        assert 0.7 < width / height < 1.4
    assert crop.transform(dict(img=image))['img_shape'] == (64, 32)
    # No part of a strip is so wide: the whole of it is taken.
    whole = RandomResizedCrop(scale=(32, 32), area=(1.0, 1.0))
    assert [*whole._draw((4, 400))] == [0, 0, 399, 3]
    with pytest.raises(UserError, match='two shares'):
        RandomResizedCrop(scale=(32, 32), area=(0.5, 2.0))


def test_accuracy() -> None:
    metric = TopKAccuracy(topk=(1, 2, 5), classwise=True)
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    scores = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2],
              [float('nan')] * 3]  # fmt: skip
    for label, row in zip((0, 1, 0, 2), scores):
        sample = dict(pred_scores=torch.tensor(row), gt_label=label)
        metric.process(None, [sample])
    assert metric.compute_metrics(metric.results) == pytest.approx(
        dict(top1=25, top2=75, top1_a=50, top1_b=0, top1_c=0)
    )


def test_square_around_a_box() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    crop = cut_square(image, [0, 10, 20, 10], context=0.0, size=20)
    # 5 rows above and below the box are of the image.
    assert crop.shape == (20, 20, 3) and (crop == 200).all()
    crop = cut_square(image, [50, 0, 10, 20], context=0.0, size=20)
    assert (crop[:, :15] == 200).all() and (crop[:, 15:] == 114).all()


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    write_coco(tmp_path / 'coco', 12, seed=1, size=(160, 120))
    return tmp_path / 'coco'


def test_objects_are_cut(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / 'crops'
    args = (coco, out, '--classes', 2, '--min-side', 8, '--size', 32)
    assert run_script(CUT, *args) == 0
    train, val = listed(out, 'train'), listed(out, 'val')
    assert len(train.metainfo['classes']) == 2
    assert {d['gt_label'] for d in val} == {0, 1}
    path = coco / 'annotations/instances_train2017.json'
    images = {
        str(a['id']): a['image_id']
        for a in json.loads(path.read_text())['annotations']
    }
    of_split = [
        {images[Path(d['img_path']).stem] for d in split}
        for split in (train, val)
    ]
    assert of_split[0].isdisjoint(of_split[1])
    assert mmcv.imread(train[0]['img_path']).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (('--classes', 80), 'have objects of 24 pixels or more'),
        (('--size', 3), '--size 3: give 32 or more'),
        (('--images', 'there'), 'there is not there'),
        (('--val-fraction', 1.5), 'give 0.01 to 0.99'),
    ],
)
def test_bad_options(
    coco: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple,
    text: str,
) -> None:
    assert run_script(CUT, coco, tmp_path / 'crops', *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
    assert not (tmp_path / 'crops').exists()
