"""The COCO layout of the rendered scenes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from lvt_dense.scenes import write_coco
from lvt_dense.scenes.camera import Camera
from lvt_dense.scenes.frame import render
from lvt_dense.scenes.layout import NEAR_PROFILE


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp('coco') / 'data', 9, seed=2)


def _coco(root: Path, part: str) -> COCO:
    return COCO(root / 'annotations' / f'instances_{part}2017.json')


def test_images_are_divided_and_match_their_entries(root: Path) -> None:
    names = []
    for part, count in (('train', 6), ('val', 3)):
        coco = _coco(root, part)
        assert len(coco.imgs) == count
        for image in coco.imgs.values():
            path = root / f'{part}2017' / image['file_name']
            shape = (image['height'], image['width'], 3)
            assert cv2.imread(str(path)).shape == shape == (240, 320, 3)
            names.append(image['file_name'])
    assert len(set(names)) == len(names) == 9
    assert len(list(root.glob('*2017/*.jpg'))) == 9


def test_categories_are_all_of_cocos(root: Path) -> None:
    coco = _coco(root, 'val')
    names = {c['id']: c['name'] for c in coco.cats.values()}
    assert len(names) == 80
    known = {1: 'person', 2: 'bicycle', 3: 'car', 13: 'stop sign',
             44: 'bottle', 70: 'toilet', 90: 'toothbrush'}  # fmt: skip
    assert known.items() <= names.items()
    shown = set()
    for part in ('train', 'val'):
        for ann in _coco(root, part).anns.values():
            shown.add(ann['category_id'])
            assert ann['iscrowd'] == 0
    assert shown == {1, 2, 3}


def test_masks_boxes_and_areas_are_the_rendered_ones(root: Path) -> None:
    camera = Camera.for_size(320, 240)
    coco, checked = _coco(root, 'train'), 0
    for image_id in coco.imgs:
        frame = render(2, image_id - 1, camera, NEAR_PROFILE)
        for ann in coco.imgToAnns[image_id]:
            mask = coco.annToMask(ann)
            expected = frame.instances == ann['id'] % 1000
            np.testing.assert_array_equal(mask, expected)
            assert ann['area'] == mask.sum()
            x, y, w, h = ann['bbox']
            assert mask[y : y + h, x : x + w].sum() == mask.sum()
            for edge in (mask[y], mask[y + h - 1]):
                assert edge.any()
            for edge in (mask[:, x], mask[:, x + w - 1]):
                assert edge.any()
            checked += 1
    assert checked > 10


def test_perfect_predictions_score_one(root: Path) -> None:
    from pycocotools.cocoeval import COCOeval

    coco = _coco(root, 'train')
    results = [
        dict(ann, score=1.0, segmentation=coco.annToRLE(ann))
        for ann in coco.anns.values()
    ]
    for kind in ('bbox', 'segm'):
        evaluator = COCOeval(coco, coco.loadRes(results), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        assert evaluator.stats[0] == pytest.approx(1.0)


def test_mmdet_reads_boxes_and_masks(root: Path) -> None:
    pytest.importorskip('mmdet')
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    dataset = CocoDataset(
        data_root=str(root),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        ],
    )
    assert len(dataset) == 6
    sample = dataset[0]
    assert len(sample['gt_bboxes']) == len(sample['gt_masks']) > 0
    boxes = sample['gt_masks'].get_bboxes('hbox').tensor
    np.testing.assert_allclose(boxes, sample['gt_bboxes'].tensor, atol=1)
    assert set(sample['gt_bboxes_labels'].tolist()) <= {0, 1, 2}


def test_files_do_not_depend_on_the_number_of_images(
    root: Path, tmp_path: Path
) -> None:
    fewer = write_coco(tmp_path / 'few', 3, seed=2)
    for path in fewer.glob('*2017/*.jpg'):
        same = root / path.relative_to(fewer)
        assert path.read_bytes() == same.read_bytes()
    assert len(list(fewer.glob('*2017/*.jpg'))) == 3

    def of_first(folder: Path) -> list[dict]:
        content = json.loads(
            (folder / 'annotations/instances_val2017.json').read_text()
        )
        return [a for a in content['annotations'] if a['image_id'] == 1]

    assert of_first(fewer) == of_first(root) != []
