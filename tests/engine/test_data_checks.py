"""What is said of data that cannot be used, before anything is built."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from lvt_dense.config import load_config
from lvt_dense.datasets.coco_check import check_coco
from lvt_dense.engine.data_checks import (
    annotation_fault,
    check_data,
    coco_fault,
)
from lvt_dense.utils.errors import UserError

ANNOTATION = dict(
    id=1, image_id=1, category_id=1, bbox=[0, 0, 2, 2], area=4, iscrowd=0
)
GOOD: dict[str, Any] = dict(
    images=[dict(id=1, file_name='a.jpg', width=4, height=3)],
    annotations=[ANNOTATION],
    categories=[dict(id=1, name='car'), dict(id=2, name='bus')],
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own cache out of the tests."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def config(root: Path, **settings: Any) -> Config:
    """A config of data alone."""
    dataset = dict(
        type='mmdet.CocoDataset',
        data_root=str(root),
        ann_file='ann.json',
        data_prefix=dict(img='images/'),
        **settings,
    )
    return Config(dict(train_dataloader=dict(dataset=dataset)))


def write(root: Path, content: Any) -> Path:
    """An annotation file and the folder of its images."""
    (root / 'images').mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (4, 3)).save(root / 'images' / 'a.jpg')
    path = root / 'ann.json'
    path.write_text(json.dumps(content))
    return path


def check(root: Path, content: Any, classes: Any = ('car', 'bus')) -> None:
    """Check a config that reads ``content``."""
    write(root, content)
    check_data(config(root, metainfo=dict(classes=classes)), ['train'])


def test_missing_root_file_and_folder_are_named(tmp_path: Path) -> None:
    root = tmp_path / 'data'
    with pytest.raises(UserError, match=f'root {root} is not there'):
        check_data(config(root), ['train'])
    root.mkdir()
    with pytest.raises(UserError, match='ann.json'):
        check_data(config(root), ['train'])
    (root / 'ann.json').write_text(json.dumps(GOOD))
    with pytest.raises(UserError, match='images'):
        check_data(config(root), ['train'])
    check(root, GOOD)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(images=None), "lacks the list 'images'"),
        (dict(annotations=[dict(id=1)]), r'annotations\[0\] lacks image_id'),
        (
            dict(annotations=[dict(ANNOTATION, bbox=[1, 2])]),
            'four numbers',
        ),
        (
            dict(annotations=[dict(ANNOTATION, bbox=['1', '2', '3', '4'])]),
            r"annotation 1 has bbox \['1', '2', '3', '4'\], not four numbers",
        ),
        (
            dict(annotations=[dict(ANNOTATION, bbox=[0, 0, 1, float('nan')])]),
            'annotation 1 has bbox',
        ),
        (
            dict(annotations=[dict(ANNOTATION, area=None)]),
            'annotation 1 has area None',
        ),
        (dict(categories=[3]), r'categories\[0\] lacks everything'),
        (
            dict(annotations=[ANNOTATION, dict(ANNOTATION)]),
            'annotations: the id 1 is there twice',
        ),
        (
            dict(
                images=[
                    *GOOD['images'],
                    dict(id=1, file_name='b.jpg', width=4, height=3),
                ]
            ),
            'images: the id 1 is there twice, for a.jpg and for b.jpg',
        ),
        (
            dict(categories=[dict(id=1, name='car'), dict(id=1, name='bus')]),
            'categories: the id 1 is there twice, for car and for bus',
        ),
        (
            dict(annotations=[dict(ANNOTATION, image_id=9)]),
            'annotation 1 has image_id 9, which no image has',
        ),
        (
            dict(annotations=[dict(ANNOTATION, category_id=9)]),
            'category_id 9, but the categories are 1, 2',
        ),
        (
            dict(images=[dict(GOOD['images'][0], width=0)]),
            r'image 1 \(a.jpg\) has width and height',
        ),
    ],
)
def test_faults_of_a_coco_file(
    tmp_path: Path, change: dict, words: str
) -> None:
    path = write(tmp_path, {**GOOD, **change})
    with pytest.raises(UserError, match=f'annotation file {path}: .*{words}'):
        check(tmp_path, {**GOOD, **change})


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_images_of_one_id_are_refused_in_every_split(
    tmp_path: Path, split: str
) -> None:
    write(tmp_path, dict(GOOD, images=GOOD['images'] * 2))
    cfg = config(tmp_path, metainfo=dict(classes=('car', 'bus')))
    cfg[f'{split}_dataloader'] = cfg.train_dataloader
    with pytest.raises(UserError, match='ann.json: images: the id 1 is'):
        check_data(cfg, [split])


def test_annotation_file_of_the_evaluator_is_checked(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    other = tmp_path / 'other.json'
    other.write_text(json.dumps(dict(GOOD, images=GOOD['images'] * 2)))
    cfg = config(tmp_path, metainfo=dict(classes=('car', 'bus')))
    cfg.val_dataloader = cfg.train_dataloader
    cfg.val_evaluator = dict(type='lvt_dense.CocoMetric', ann_file=str(other))
    with pytest.raises(UserError, match='other.json: images: the id 1 is'):
        check_data(cfg, ['val'])


@pytest.mark.parametrize(
    ('mask', 'words'),
    [
        (None, 'has no segmentation'),
        ([[0, 0, 2, 2]], 'a polygon of 2 points'),
        ([[0, 0, 2, 2, 1]], 'no list of x, y'),
        ([[0, 0, 2, '2', 1, 1]], 'not of numbers alone'),
        (dict(size=[4, 3], counts=[12]), r'size \[4, 3\], not \[3, 4\]'),
    ],
)
def test_faults_of_masks_matter_where_masks_are_learned(
    tmp_path: Path, mask: Any, words: str
) -> None:
    content = dict(GOOD, annotations=[dict(ANNOTATION, segmentation=mask)])
    check(tmp_path, content)
    cfg = config(tmp_path, metainfo=dict(classes=('car', 'bus')))
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='LoadAnnotations', with_mask=True)
    ]
    with pytest.raises(UserError, match=f'annotation 1 .*{words}'):
        check_data(cfg, ['train'])


def test_good_masks_pass(tmp_path: Path) -> None:
    masks = [[[0, 0, 2, 0, 2, 2.5]], dict(size=[3, 4], counts=[2, 10])]
    annotations = [
        dict(ANNOTATION, id=i, segmentation=mask)
        for i, mask in enumerate(masks)
    ]
    path = write(tmp_path, dict(GOOD, annotations=annotations))
    report = check_coco(path, masks=True)
    assert (report.fault, report.mask_fault) == (None, None)
    assert report.used == dict(car=2)


def test_good_file_has_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert coco_fault(path) is None
    assert annotation_fault(config(tmp_path)) is None


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert coco_fault(path) is None
    path.write_text(json.dumps(dict(GOOD, images=None)))
    assert coco_fault(path)


def test_truncated_json_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    path.write_text(json.dumps(GOOD)[:-20])
    assert f'{path}: not JSON' in annotation_fault(config(tmp_path))


@pytest.mark.parametrize(
    ('classes', 'words'),
    [
        (('truck', 'van'), r'none of its categories \(car, bus\) is one of'),
        (('car', 'buss'), 'there is no category buss'),
        (('bus', 'car'), 'in the order car, bus, the classes in the order'),
        ('car', "is one string, which counts as 3 classes: write .*'car',"),
        (('bus',), 'no object of the classes bus .* there are car'),
    ],
)
def test_slips_of_classes(tmp_path: Path, classes: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check(tmp_path, GOOD, classes)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(images=[], annotations=[]), 'list of images is empty'),
        (dict(annotations=[]), 'no object of the classes'),
        (dict(annotations=[dict(ANNOTATION, iscrowd=1)]), 'crowds'),
        (
            dict(annotations=[dict(ANNOTATION, bbox=[0, 0, 0, 2])]),
            'without area',
        ),
    ],
)
def test_nothing_to_learn(tmp_path: Path, change: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check(tmp_path, {**GOOD, **change})


def test_test_set_without_annotations(tmp_path: Path) -> None:
    content = {k: v for k, v in GOOD.items() if k != 'annotations'}
    write(tmp_path, content)
    cfg = config(tmp_path, metainfo=dict(classes=('car', 'bus')))
    with pytest.raises(UserError, match='as of a test set, to learn from'):
        check_data(cfg, ['train'])
    cfg.test_dataloader = cfg.train_dataloader
    cfg.test_evaluator = dict(type='lvt_dense.CocoMetric')
    with pytest.raises(UserError, match='set test_evaluator.format_only'):
        check_data(cfg, ['test'])
    cfg.test_evaluator.format_only = True
    check_data(cfg, ['test'])


def test_images_below_the_smallest_size(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    cfg = config(
        tmp_path,
        metainfo=dict(classes=('car', 'bus')),
        filter_cfg=dict(min_size=32),
    )
    with pytest.raises(UserError, match='min_size=32 leaves out all images'):
        check_data(cfg, ['train'])


@pytest.mark.parametrize(
    ('name', 'heads'),
    [
        ('ssdlite_mobilevit_xxs_320_coco', ['model.bbox_head']),
        ('ssdlite_emo_1m_320_coco', ['model.bbox_head']),
        ('retinanet_emo_1m_coco', ['model.bbox_head']),
        (
            'mask_rcnn_emo_coco',
            ['model.roi_head.bbox_head', 'model.roi_head.mask_head'],
        ),
    ],
)
def test_counts_of_detectors(
    name: str, heads: list[str], tmp_path: Path
) -> None:
    classes = [f'c{i}' for i in range(80)]
    categories = [dict(id=i + 1, name=n) for i, n in enumerate(classes)]
    mask = [[0, 0, 2, 0, 2, 2]]
    content = dict(
        GOOD,
        images=[dict(GOOD['images'][0], width=99, height=99)],
        categories=categories,
        annotations=[dict(ANNOTATION, segmentation=mask)],
    )
    write(tmp_path, content)
    for head in heads:
        cfg = load_config(f'lvt_dense::{name}.py')
        dataset = cfg.train_dataloader.dataset
        dataset = dataset.get('dataset', dataset)
        dataset.update(
            data_root=str(tmp_path),
            ann_file='ann.json',
            data_prefix=dict(img='images/'),
            metainfo=dict(classes=classes),
        )
        check_data(cfg, ['train'])
        dataset.metainfo.classes = classes[:3]
        with pytest.raises(UserError) as error:
            check_data(cfg, ['train'])
        text = str(error.value)
        assert f'{heads[0]}.num_classes is 80' in text
        assert 'train data have 3 (c0, c1, c2)' in text
        cfg.merge_from_dict({f'{each}.num_classes': 3 for each in heads})
        check_data(cfg, ['train'])
        cfg.merge_from_dict({f'{head}.num_classes': 2})
        with pytest.raises(UserError, match=f'{head}.num_classes is 2'):
            check_data(cfg, ['train'])


@pytest.mark.parametrize(
    'name',
    ['pspnet_emo_1m_360_camvid', 'monocon_emo_kitti', 'fcos3d_emo_kitti'],
)
def test_counts_where_the_head_says_nothing(name: str, tmp_path: Path) -> None:
    cfg = load_config(f'lvt_dense::{name}.py')
    for dataset in (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset):
        dataset.update(data_root=str(tmp_path), ann_file='')
        dataset.data_prefix = {}
        dataset.metainfo = dict(classes=('a', 'b'))
    head = 'decode_head' if 'pspnet' in name else 'bbox_head'
    cfg.model[head].pop('num_classes', None)
    words = f'model.{head}.num_classes is'
    if 'pspnet' in name:
        words = 'model.auxiliary_head.num_classes is 11'
    with pytest.raises(UserError, match=f'{words}.* train data have 2'):
        check_data(cfg, ['train'])


def seg_config(root: Path, **settings: Any) -> Config:
    """A config of a segmentation data set alone."""
    dataset = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images/', seg_map_path='masks/'),
        metainfo=dict(classes=('a', 'b')),
        **settings,
    )
    load = dict(type='lvt_dense.LoadSegAnnotations', num_classes=2)
    dataset['pipeline'] = [load]
    return Config(dict(train_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize(
    ('masks', 'fails'),
    [
        (([0, 255], [0]), True),
        (([0, 255], [0, 1]), False),
        (([0], [0]), False),
        (([255], [255]), False),
    ],
)
def test_masks_of_0_and_255(
    tmp_path: Path, masks: tuple[list[int], ...], fails: bool
) -> None:
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
    for name, labels in zip('ab', masks):
        picture = Image.new('L', (4, 4))
        picture.save(tmp_path / 'images' / f'{name}.jpg')
        mask = np.resize(np.array(labels, np.uint8), (4, 4))
        Image.fromarray(mask).save(tmp_path / 'masks' / f'{name}.png')
    if fails:
        with pytest.raises(UserError, match='hold 0 and 255 alone, .*--data'):
            check_data(seg_config(tmp_path), ['train'])
    else:
        check_data(seg_config(tmp_path), ['train'])


def test_segmentation_folders(tmp_path: Path) -> None:
    for kind, suffix in (('images', 'jpg'), ('masks', 'png')):
        (tmp_path / kind).mkdir()
        for name in 'ab':
            picture = Image.fromarray(np.zeros((4, 4), np.uint8))
            picture.save(tmp_path / kind / f'{name}.{suffix}')
    check_data(seg_config(tmp_path), ['train'])
    with pytest.raises(UserError, match=r"end on '.png' in .* holds a.jpg"):
        check_data(seg_config(tmp_path, img_suffix='.png'), ['train'])
    with pytest.raises(UserError, match="name ends on '_m.png' in"):
        check_data(seg_config(tmp_path, seg_map_suffix='_m.png'), ['train'])
    cfg = seg_config(tmp_path)
    cfg.train_dataloader.dataset.pipeline[0].num_classes = 3
    with pytest.raises(UserError, match='LoadSegAnnotations .* is 3, but'):
        check_data(cfg, ['train'])
    listed = tmp_path / 'train.txt'
    for text, words in (
        ('a\nb\n', None),
        ('a\n\nb\n', 'train.txt:2: .* blank line'),
        ('a.jpg\n', r"train.txt:1: 'a.jpg' .* without its suffix"),
        ('', 'listed in .*train.txt, which is empty'),
    ):
        listed.write_text(text)
        cfg = seg_config(tmp_path, ann_file='train.txt')
        if words is None:
            check_data(cfg, ['train'])
            continue
        with pytest.raises(UserError, match=words):
            check_data(cfg, ['train'])
