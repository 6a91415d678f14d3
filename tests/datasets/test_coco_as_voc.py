"""COCO's instances as masks of VOC's classes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from pycocotools import mask as masks

from lvt_dense.datasets.coco_as_voc import COCOAsVOCDataset
from lvt_dense.datasets.transforms import LoadSegMapFromInstances
from lvt_dense.utils.errors import UserError

SIZE = (60, 80)


def rectangle(x1: int, y1: int, x2: int, y2: int) -> list[list[float]]:
    """Polygon of the pixels x1 <= x < x2, y1 <= y < y2."""
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def run_lengths(mask: np.ndarray, compressed: bool) -> dict:
    """The two ways in which COCO writes crowds."""
    if compressed:
        found = masks.encode(np.asfortranarray(mask))
        return dict(size=list(SIZE), counts=found['counts'].decode())
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.r_[0, flat, 1 - flat[-1]]))
    return dict(size=list(SIZE), counts=np.diff(np.r_[0, edges]).tolist())


def write(folder: Path, annotations: list[dict], images: int) -> None:
    """COCO's files with black images of 80 x 60 pixels."""
    (folder / 'images').mkdir(parents=True)
    for number in range(images):
        path = folder / 'images' / f'{number}.jpg'
        cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8))
    content = dict(
        images=[
            dict(id=k, file_name=f'{k}.jpg', height=SIZE[0], width=SIZE[1])
            for k in range(images)
        ],
        categories=[
            dict(id=1, name='person'),
            dict(id=5, name='airplane'),
            dict(id=62, name='couch'),
            dict(id=90, name='toothbrush'),
        ],
        annotations=[dict(id=n, **item) for n, item in enumerate(annotations)],
    )
    (folder / 'instances.json').write_text(json.dumps(content))


def load(folder: Path, **options: object) -> COCOAsVOCDataset:
    return COCOAsVOCDataset(
        data_root=str(folder),
        ann_file='instances.json',
        data_prefix=dict(img_path='images/'),
        pipeline=[
            dict(type='lvt_dense.LoadImageFromFile'),
            dict(type='lvt_dense.LoadSegMapFromInstances'),
        ],
        **options,
    )


def item(image: int, category: int, segmentation: object, area: float) -> dict:
    return dict(
        image_id=image,
        category_id=category,
        segmentation=segmentation,
        area=area,
        iscrowd=0,
        bbox=[0, 0, 1, 1],
    )


def test_classes_are_those_of_voc() -> None:
    assert COCOAsVOCDataset.METAINFO == PascalVOCDataset.METAINFO


def test_masks_have_vocs_labels_and_overlaps_do_not_count(
    tmp_path: Path,
) -> None:
    crowd = np.zeros(SIZE, np.uint8)
    crowd[50:58, 2:70] = 1
    write(
        tmp_path,
        [
            item(0, 1, rectangle(10, 10, 40, 40), 900),
            item(0, 5, rectangle(30, 20, 60, 50), 900),
            item(0, 90, rectangle(0, 0, 80, 60), 4800),
            item(0, 62, run_lengths(crowd, compressed=True), 544),
            item(1, 62, run_lengths(crowd, compressed=False), 1544),
        ],
        images=2,
    )
    first, second = (load(tmp_path)[k]['gt_seg_map'] for k in range(2))
    classes = PascalVOCDataset.METAINFO['classes']
    assert first.shape == SIZE
    assert first.dtype == np.uint8
    assert classes[first[15, 15]] == 'person'
    assert classes[first[45, 55]] == 'aeroplane'
    assert (first[21:39, 31:39] == 255).all()
    assert first[5, 5] == 0  # a toothbrush is background
    assert classes[first[55, 30]] == 'sofa'
    assert (second == np.where(crowd, classes.index('sofa'), 0)).all()


def test_images_with_little_to_learn_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            item(0, 1, rectangle(0, 0, 20, 25), 500),
            item(0, 5, rectangle(30, 0, 50, 25), 500),
            item(1, 1, rectangle(0, 0, 20, 25), 999),
            item(2, 90, rectangle(0, 0, 60, 60), 3600),
        ],
        images=4,
    )
    found = [entry['img_path'] for entry in load(tmp_path)]
    assert [Path(path).name for path in found] == ['0.jpg']
    assert len(load(tmp_path, min_pixels=1)) == 2


def test_fewer_classes(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            item(0, 1, rectangle(0, 0, 40, 40), 1600),
            item(0, 5, rectangle(50, 0, 80, 40), 1200),
        ],
        images=1,
    )
    dataset = load(tmp_path, metainfo=dict(classes=('background', 'person')))
    mask = dataset[0]['gt_seg_map']
    assert mask[10, 10] == 1
    assert mask[10, 60] == 255


def test_image_of_another_size_is_named(tmp_path: Path) -> None:
    write(tmp_path, [item(0, 1, rectangle(0, 0, 40, 40), 1600)], images=1)
    path = tmp_path / 'images' / '0.jpg'
    cv2.imwrite(str(path), np.zeros((80, 60, 3), np.uint8))
    with pytest.raises(UserError, match='0.jpg is 60 x 80'):
        load(tmp_path)[0]


def test_real_images(real_data: Path) -> None:
    """As many as torchvision's reference training keeps."""
    folder = real_data / 'coco'
    path = folder / 'annotations/instances_val2017.json'
    dataset = COCOAsVOCDataset(
        data_root=str(folder),
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img_path='val2017/'),
        pipeline=[],
    )
    content = json.loads(path.read_text())
    voc = (5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63)
    areas: dict[int, float] = {}
    for found in content['annotations']:
        if found['category_id'] in (*voc, 7, 72):
            key = found['image_id']
            areas[key] = areas.get(key, 0) + found['area']
    assert len(dataset) == sum(area >= 1000 for area in areas.values())
    loaded = LoadSegMapFromInstances().transform(dict(dataset[0]))
    assert set(np.unique(loaded['gt_seg_map'])) <= {*range(21), 255}
