"""Names that tools spell in other ways: of classes, images and label files."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.own_data import (
    CLASSES,
    make_shots,
    save_image,
    write_coco,
    write_roboflow,
    write_voc,
    write_yolo,
)
from PIL import Image

from lvt_dense.datasets.own.api import describe_data, load_labels
from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.errors import UserError

SHOTS = make_shots(4)
EXPECTED = [
    [(CLASSES[label], *box) for label, box in shot.boxes]
    for shot in SHOTS['train']
]


def load(root: Path, task: str = 'detection') -> LabeledData:
    return load_labels(None, root, task)


def boxes(data: LabeledData, split: str = 'train') -> list[list[tuple]]:
    """Classes and boxes of every image, rounded."""
    return [
        [
            (data.classes[o.label], *(round(v, 3) for v in o.bbox))
            for o in sample.objects
        ]
        for sample in data.splits[split]
    ]


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def rename(folder: Path, start: str, suffix: str, form: str) -> None:
    """Put a start before the names of files, in a form of Unicode."""
    for path in list(folder.rglob(f'*{suffix}')):
        name = unicodedata.normalize(form, start + path.name)
        path.rename(path.with_name(name))


def decomposed_coco(root: Path) -> None:
    for split in write_coco(root, SHOTS).glob('*a*/instances_*.json'):
        edit(split, lambda content: [
            image.update(file_name='é' + image['file_name'])
            for image in content['images']
        ])  # fmt: skip
    rename(root, 'é', '.png', 'NFD')


def decomposed_yolo(root: Path) -> None:
    write_yolo(root, SHOTS)
    rename(root, 'é', '.png', 'NFD')
    rename(root / 'labels', 'é', '.txt', 'NFC')


def composed_voc(root: Path) -> None:
    write_voc(root, SHOTS)
    rename(root, 'é', '.png', 'NFC')
    rename(root / 'Annotations', 'é', '.xml', 'NFD')
    for path in root.rglob('ImageSets/Main/*.txt'):
        lines = path.read_text().split()
        path.write_text('\n'.join(f'é{line}' for line in lines))


def upper_case_folder(root: Path) -> None:
    write_yolo(root, SHOTS)
    (root / 'labels').rename(root / 'Labels')


def two_suffixes(root: Path) -> None:
    for path in write_yolo(root, SHOTS).glob('labels/*/*.txt'):
        path.rename(path.with_name(f'{path.stem}.png.txt'))


def addresses(root: Path) -> None:
    write_coco(root, SHOTS)
    rename(root, 'a b ', '.png', 'NFC')
    for split, start, end in (
        ('train', 'https://storage.example.org/b/a%20b%20', '?X-Key=1'),
        ('val', '/data/local-files/?d=upload%5Ca%20b%20', ''),
    ):

        def change(content: dict, start: str = start, end: str = end) -> None:
            for image in content['images']:
                image['file_name'] = start + image['file_name'] + end

        edit(root / 'annotations' / f'instances_{split}.json', change)


def head_like_class(root: Path) -> None:
    for path in write_roboflow(root, SHOTS).rglob('_annotations.coco.json'):
        edit(path, lambda content: content['categories'][0].update(
            name='bolt'))  # fmt: skip


def aux_files(root: Path) -> None:
    write_voc(root, SHOTS)
    shutil.rmtree(root / 'ImageSets')
    for path in list((root / 'JPEGImages').iterdir()):
        aux = path.with_name(f'{path.name}.aux.xml')
        aux.write_text('<PAMDataset><PAMRasterBand/></PAMDataset>')


@pytest.mark.parametrize('make', [
    decomposed_coco, decomposed_yolo, composed_voc, upper_case_folder,
    two_suffixes, addresses, head_like_class, aux_files,
])  # fmt: skip
def test_labels_are_found(make: Callable, tmp_path: Path) -> None:
    root = tmp_path / 'data'
    make(root)
    data = load(root)
    assert data.classes == list(CLASSES)
    assert boxes(data) == EXPECTED
    assert len(data.splits['val']) == 2
    assert not data.findings.lines()


def test_names_of_the_two_splits(tmp_path: Path) -> None:
    """Spaces and the composition of accents make no other class."""
    root = write_coco(tmp_path / 'data', SHOTS)
    for split, form, space in (('train', 'NFC', ''), ('val', 'NFD', ' ')):
        name = unicodedata.normalize(form, f'{space}école{space}')
        edit(root / 'annotations' / f'instances_{split}.json',
             lambda content, name=name: content['categories'][0].update(
                 name=name))  # fmt: skip
    data = load(root)
    assert data.classes == ['école', 'nut', 'washer']
    chosen = unicodedata.normalize('NFD', 'école')
    assert load_labels(None, root, 'detection', [chosen]).classes == ['école']


def test_names_that_differ_in_case(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    edit(root / 'annotations' / 'instances_val.json',
         lambda content: content['categories'][0].update(
             name='Bolt'))  # fmt: skip
    data = load(root)
    assert data.classes == [*CLASSES, 'Bolt']
    assert (
        'warning: classes whose names differ in case, spaces or signs alone '
        'are classes of their own: bolt and Bolt'
    ) in describe_data({}, data)


def test_chinese_xml(tmp_path: Path) -> None:
    root = write_voc(tmp_path / 'data', SHOTS)
    path = root / 'Annotations' / 'train_0.xml'
    text = path.read_text().replace('bolt', '螺栓')
    head = '<?xml version="1.0" encoding="gb2312"?>\n'
    path.write_bytes((head + text).encode('gb2312'))
    assert boxes(load(root))[0][0][0] == '螺栓'


def without_yaml(root: Path, **lists: str) -> Path:
    """YOLO's folders with lists of names in place of data.yaml."""
    write_yolo(root, SHOTS)
    (root / 'data.yaml').unlink()
    for place, names in lists.items():
        folder = root if place == 'top' else root / 'labels' / place
        (folder / 'classes.txt').write_text(names)
    return root


def test_a_name_twice(tmp_path: Path) -> None:
    root = without_yaml(tmp_path / 'data', top='bolt\nnut\nbolt\n')
    with pytest.raises(UserError, match='classes.txt: names has bolt twice'):
        load(root)


def test_two_lists_of_names(tmp_path: Path) -> None:
    names = 'bolt\nnut\nwasher\n'
    root = without_yaml(tmp_path / 'a', train=names, val='washer\nbolt\nnut\n')
    with pytest.raises(UserError) as caught:
        load(root)
    assert str(caught.value) == (
        f'--data {root}: labels/val/classes.txt names the classes washer, '
        'bolt, nut, but labels/train/classes.txt bolt, nut, washer; number '
        'the labels alike, and leave one file'
    )
    longer = without_yaml(tmp_path / 'b', train=names, val=names + 'screw')
    assert load(longer).classes == ['bolt', 'nut', 'washer', 'screw']


def test_names_beside_data_yaml(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    (root / 'classes.txt').write_text('\n'.join(CLASSES))
    assert not load(root).findings.lines()
    (root / 'classes.txt').write_text('washer\nbolt\nnut\n')
    data = load(root)
    assert boxes(data) == EXPECTED
    assert data.findings.lines() == [
        '1 lists of names differ from data.yaml, whose names and order are '
        'taken: classes.txt (washer, bolt, nut)'
    ]


def test_a_test_split_that_is_not_there(tmp_path: Path) -> None:
    """It is not the folder of all images, whose name ends alike."""
    root = write_yolo(tmp_path / 'data', SHOTS)
    path = root / 'data.yaml'
    path.write_text(path.read_text() + 'test: ../test/images\n')
    data = load(root)
    assert data.splits['test'] is data.splits['val']
    assert data.findings.lines() == [
        '1 entries of data.yaml are not there and are left out: test: '
        '../test/images'
    ]
    path.write_text(path.read_text().replace('images/val', 'other/val'))
    with pytest.raises(UserError, match="val is 'other/val', which is nei"):
        load(root)


def test_a_coordinate_below_zero(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    (root / 'labels/train/train_0.txt').write_text('0 -0.1 0.5 0.2 0.2')
    with pytest.raises(UserError, match='train_0.txt:1: -0.1 is no fraction'):
        load(root)


def labelme(root: Path, **shape: object) -> Path:
    """The same shape on every image."""
    for split, shots in SHOTS.items():
        for shot in shots:
            save_image(root / split, shot)
            (root / split / f'{shot.name}.json').write_text(json.dumps(dict(
                shapes=[dict(label='a', **shape)],
                imagePath=f'{shot.name}.png',
            )))  # fmt: skip
    return root


def test_turned_boxes(tmp_path: Path) -> None:
    points = [[10, 20], [20, 10], [40, 30], [30, 40]]
    root = labelme(tmp_path / 'data', shape_type='rotation', points=points)
    data = load(root, 'instance')
    item = data.splits['train'][0].objects[0]
    assert item.bbox == (10, 10, 30, 30)
    assert item.segmentation == [[10, 20, 20, 10, 40, 30, 30, 40]]


def test_points_alone(tmp_path: Path) -> None:
    root = labelme(tmp_path / 'data', shape_type='point', points=[[1, 2]])
    with pytest.raises(UserError, match='name no class .6 shapes of the kind '
                       'point have no area'):  # fmt: skip
        load(root)


def test_own_format_of_cvat(tmp_path: Path) -> None:
    root = tmp_path / 'data'
    save_image(root / 'images', SHOTS['train'][0])
    (root / 'annotations.xml').write_text('<annotations/>')
    with pytest.raises(UserError, match='export as COCO, YOLO or Pascal VOC'):
        load(root)


@pytest.mark.parametrize('name', ['{}.png', '{}.jpg.png', 'NFD'])
def test_masks_are_found(name: str, tmp_path: Path) -> None:
    root = tmp_path / 'data'
    for split in ('train', 'val'):
        for index in range(2):
            stem = f'é{split}{index}'
            if name == 'NFD':
                mask = unicodedata.normalize('NFD', f'{stem}.png')
            else:
                mask = name.format(stem)
            for path, mode in (
                (root / 'images' / split / f'{stem}.jpg', 'RGB'),
                (root / 'masks' / split / mask, 'L'),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new(mode, (64, 48), index).save(path)
    data = load(root, 'semantic')
    assert [len(data.splits[s]) for s in ('train', 'val')] == [2, 2]
    for sample in data.splits['train']:
        assert set(sample.pixels) == {int(sample.path.stem[-1])}
