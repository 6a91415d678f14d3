"""The rendered scenes as ADE20K, Cityscapes, VOC 2012 and CamVid."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lvt_dense.scenes import SEMANTIC_LAYOUTS, write_semantic
from lvt_dense.scenes.camera import Camera
from lvt_dense.scenes.frame import render
from lvt_dense.scenes.layout import NEAR_PROFILE
from lvt_dense.scenes.solids import Label
from lvt_dense.utils.errors import UserError

mmseg_datasets = pytest.importorskip('mmseg.datasets')
SIZE = (160, 120)
SEED = 4
# Class names that the scene's labels must come out as.
NAMES = {
    'ade20k': {
        Label.SKY: 'sky', Label.ROAD: 'road', Label.SIDEWALK: 'sidewalk',
        Label.GRASS: 'grass', Label.BUILDING: 'building',
        Label.FENCE: 'fence', Label.TREE: 'tree', Label.POLE: 'pole',
        Label.SIGN: 'signboard', Label.CAR: 'car', Label.PERSON: 'person',
        Label.RIDER: 'person', Label.BICYCLE: 'bicycle',
    },
    'cityscapes': {
        Label.SKY: 'sky', Label.ROAD: 'road', Label.SIDEWALK: 'sidewalk',
        Label.GRASS: 'terrain', Label.BUILDING: 'building',
        Label.FENCE: 'fence', Label.TREE: 'vegetation', Label.POLE: 'pole',
        Label.SIGN: 'traffic sign', Label.CAR: 'car',
        Label.PERSON: 'person', Label.RIDER: 'rider',
        Label.BICYCLE: 'bicycle',
    },
    'voc': dict.fromkeys(Label, 'background') | {
        Label.CAR: 'car', Label.PERSON: 'person', Label.RIDER: 'person',
        Label.BICYCLE: 'bicycle',
    },
    'camvid': {
        Label.SKY: 'sky', Label.ROAD: 'road', Label.SIDEWALK: 'pavement',
        Label.BUILDING: 'building', Label.FENCE: 'fence',
        Label.TREE: 'tree', Label.POLE: 'pole', Label.SIGN: 'sign',
        Label.CAR: 'car', Label.PERSON: 'pedestrian',
        Label.RIDER: 'bicyclist', Label.BICYCLE: 'bicyclist',
    },
}  # fmt: skip


@pytest.fixture(scope='module')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp('semantic')
    return {
        layout: write_semantic(
            folder / layout, layout, 9, SEED, SIZE, val_fraction=0.4
        )
        for layout in SEMANTIC_LAYOUTS
    }


def _dataset(layout: str, root: Path, part: str) -> Any:
    """The data set as mmseg's base configs (ours for CamVid) describe it."""
    cls, image, mask, extra = {
        'ade20k': (
            'ADE20KDataset',
            dict(train='images/training', val='images/validation'),
            dict(train='annotations/training', val='annotations/validation'),
            {},
        ),
        'cityscapes': (
            'CityscapesDataset',
            dict(train='leftImg8bit/train', val='leftImg8bit/val'),
            dict(train='gtFine/train', val='gtFine/val'),
            {},
        ),
        'voc': (
            'PascalVOCDataset',
            dict.fromkeys(('train', 'aug', 'val'), 'JPEGImages'),
            dict(train='SegmentationClass', aug='SegmentationClassAug',
                 val='SegmentationClass'),
            dict(ann_file=f'ImageSets/Segmentation/{part}.txt'),
        ),
        'camvid': (
            'CamVidDataset',
            {p: f'images/{p}' for p in ('train', 'val', 'test')},
            {p: f'labels/{p}' for p in ('train', 'val', 'test')},
            {},
        ),
    }[layout]  # fmt: skip
    if layout == 'camvid':
        from lvt_dense.datasets.camvid import CamVidDataset

        chosen = CamVidDataset
    else:
        chosen = getattr(mmseg_datasets, cls)
    return chosen(
        data_root=str(root),
        data_prefix=dict(img_path=image[part], seg_map_path=mask[part]),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmseg.LoadAnnotations'),
        ],
        **extra,
    )


@pytest.mark.parametrize('layout', SEMANTIC_LAYOUTS)
def test_mmseg_reads_the_classes_that_were_rendered(
    layout: str, roots: dict[str, Path]
) -> None:
    camera = Camera.for_size(*SIZE)
    dataset = _dataset(layout, roots[layout], 'train')
    classes = dataset.metainfo['classes']
    seen = set()
    for sample in dataset:
        stem = sample['img_path'].rsplit('/', 1)[1].split('.')[0]
        index = int(stem.removesuffix('_000019_leftImg8bit').split('_')[-1])
        index -= layout == 'ade20k'
        frame = render(SEED, index, camera, NEAR_PROFILE)
        error = sample['img'].astype(int) - frame.image
        assert np.abs(error).mean() < 6  # JPEG, else the very picture
        for label in np.unique(frame.labels):
            found = np.unique(sample['gt_seg_map'][frame.labels == label])
            name = NAMES[layout].get(Label(label))
            assert [name and classes.index(name)] == [
                None if v == 255 else v for v in found.tolist()
            ]
            seen.add(int(label))
    assert seen >= {0, 1, 2, 3, 4, 6, 9, 10, 11, 12}


@pytest.mark.parametrize(
    ('layout', 'counts'),
    [
        ('ade20k', dict(train=5, val=4)),
        ('cityscapes', dict(train=5, val=4)),
        ('voc', dict(train=3, aug=2, val=4)),
        ('camvid', dict(train=5, val=2, test=2)),
    ],
)
def test_every_split_is_read(
    layout: str, counts: Any, roots: dict[str, Path]
) -> None:
    paths = []
    for part, count in counts.items():
        dataset = _dataset(layout, roots[layout], part)
        assert len(dataset) == count
        infos = [dataset.get_data_info(i) for i in range(count)]
        paths += [info['img_path'] for info in infos]
    assert len(set(paths)) == 9


def test_cityscapes_instance_ids_number_the_things(
    roots: dict[str, Path],
) -> None:
    folder = roots['cityscapes'] / 'gtFine/train/demo'
    paths = sorted(folder.glob('*instanceIds.png'))
    assert len(paths) == 5
    things = set()
    for path in paths:
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        name = str(path).replace('instanceIds', 'labelIds')
        labels = cv2.imread(name, cv2.IMREAD_UNCHANGED)
        thing = ids >= 1000
        np.testing.assert_array_equal(ids[thing] // 1000, labels[thing])
        np.testing.assert_array_equal(ids[~thing], labels[~thing])
        things |= set(labels[thing].tolist())
    assert things == {24, 25, 26, 33}


def test_unknown_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'ade'.*ade20k, cityscapes, voc"):
        write_semantic(tmp_path / 'x', 'ade', 2)
