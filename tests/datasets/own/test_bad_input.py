"""Data as they come: what is mended, what is named, and in how many words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.own_data import (
    CLASSES,
    DETECTION,
    make_shots,
    save_image,
    voc_text,
    write_coco,
    write_labelme,
    write_roboflow,
    write_voc,
    write_yolo,
    yolo_line,
)
from mmcv import imread
from PIL import Image

from lvt_dense.config import load_config
from lvt_dense.datasets.own.api import describe_data, load_labels
from lvt_dense.datasets.own.formats import LabeledData
from lvt_dense.datasets.own.splits import share_of
from lvt_dense.utils.errors import UserError

SHOTS = make_shots(4)


def load(
    root: Path, classes: list[str] | None = None, task: str = 'detection'
) -> LabeledData:
    """Read a data set as a detector would."""
    return load_labels(None, root, task, classes)


def boxes(data: LabeledData, split: str = 'train') -> list[list[tuple]]:
    """Classes and boxes of every image, rounded."""
    return [
        [
            (data.classes[o.label], *(round(v, 3) for v in o.bbox))
            for o in sample.objects
        ]
        for sample in data.splits[split]
    ]


EXPECTED = [
    [(CLASSES[label], *box) for label, box in shot.boxes]
    for shot in SHOTS['train']
]


def edit_json(path: Path, change: Callable[[dict], None]) -> None:
    """Change a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def train_json(root: Path) -> Path:
    """The annotation file of train."""
    return root / 'annotations' / 'instances_train.json'


# Faults that end with one line
def broken_json(root: Path) -> None:
    path = train_json(write_coco(root, SHOTS))
    path.write_text(path.read_text()[:-30])


def broken_xml(root: Path) -> None:
    path = write_voc(root, SHOTS) / 'Annotations' / 'train_1.xml'
    path.write_text(path.read_text()[:-30])


def broken_yaml(root: Path) -> None:
    (write_yolo(root, SHOTS) / 'data.yaml').write_text('names: [a, b\nnc: 2')


def broken_labelme(root: Path) -> None:
    (write_labelme(root, SHOTS) / 'train' / 'train_0.json').write_text('{')


def labels_without_images(root: Path) -> None:
    shutil.rmtree(write_yolo(root, SHOTS) / 'images')


def images_without_labels(root: Path) -> None:
    shutil.rmtree(write_yolo(root, SHOTS) / 'labels')


def coco_without_images(root: Path) -> None:
    write_coco(root, SHOTS)
    for path in root.rglob('*.png'):
        path.unlink()


def val_image_missing(root: Path) -> None:
    (write_coco(root, SHOTS) / 'val' / 'val_1.png').unlink()


def class_beyond_names(root: Path) -> None:
    path = write_yolo(root, SHOTS) / 'labels' / 'train' / 'train_1.txt'
    path.write_text('7 0.5 0.5 0.1 0.1\n')


def category_beyond_list(root: Path) -> None:
    def change(content: dict) -> None:
        content['annotations'][1]['category_id'] = 9

    edit_json(train_json(write_coco(root, SHOTS)), change)


def yolo_in_pixels(root: Path) -> None:
    path = write_yolo(root, SHOTS) / 'labels' / 'train' / 'train_1.txt'
    path.write_text('1 40 30 10 10\n')


def yolo_with_six_numbers(root: Path) -> None:
    path = write_yolo(root, SHOTS) / 'labels' / 'train' / 'train_1.txt'
    path.write_text('1 0.4 0.3 0.1 0.1 0.98\n')


def same_image_ids(root: Path) -> None:
    def change(content: dict) -> None:
        content['images'][1]['id'] = content['images'][0]['id']

    edit_json(train_json(write_coco(root, SHOTS)), change)


def same_category_names(root: Path) -> None:
    def change(content: dict) -> None:
        content['categories'][1]['name'] = CLASSES[0]

    edit_json(train_json(write_coco(root, SHOTS)), change)


def no_box(root: Path) -> None:
    def change(content: dict) -> None:
        content['annotations'][0].update(bbox=[1, 'x', 2, 3])

    edit_json(train_json(write_coco(root, SHOTS)), change)


def nc_and_names_differ(root: Path) -> None:
    path = write_yolo(root, SHOTS) / 'data.yaml'
    path.write_text(path.read_text() + 'nc: 4\n')


def gap_in_names(root: Path) -> None:
    path = write_yolo(root, SHOTS) / 'data.yaml'
    path.write_text(path.read_text().replace('  1: nut', '  4: nut'))


def empty_list(root: Path) -> None:
    (write_voc(root, SHOTS) / 'ImageSets/Main/val.txt').write_text('\n \n')


def broken_val_image(root: Path) -> None:
    (write_coco(root, SHOTS) / 'val' / 'val_1.png').write_bytes(b'nothing')


def no_train(root: Path) -> None:
    write_coco(root, SHOTS)
    train_json(root).unlink()


def two_files_for_train(root: Path) -> None:
    path = train_json(write_coco(root, SHOTS))
    shutil.copy(path, path.with_name('train_old.json'))


def no_objects(root: Path) -> None:
    def change(content: dict) -> None:
        content['annotations'] = []

    edit_json(train_json(write_coco(root, SHOTS)), change)


def masks_for_a_detector(root: Path) -> None:
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
        Image.new('L', (4, 4)).save(root / kind / 'a.png')


def empty_folder(root: Path) -> None:
    root.mkdir()


def not_there(root: Path) -> None:
    pass


FAULTS = {
    broken_json: r'instances_train.json: not JSON \(',
    broken_xml: r'train_1.xml: not XML \(.*line 1',
    broken_yaml: r'data.yaml:2:\d: not YAML',
    broken_labelme: r'train_0.json: not JSON',
    labels_without_images: 'is neither a folder with images nor a list',
    images_without_labels: 'none of the 4 images has a label file',
    coco_without_images: r'none of its 4 images is under .* \(looked for',
    val_image_missing: 'instances_val.json: 1 of its 2 images are not',
    class_beyond_names: r'train_1.txt:1: class 7, but the 3 names have',
    category_beyond_list: r'has category_id 9, but the categories are 1, 2',
    yolo_in_pixels: 'train_1.txt:1: 40 is no fraction',
    yolo_with_six_numbers: 'train_1.txt:1: 6 values; a box has 5',
    same_image_ids: r'two images have the id 0',
    same_category_names: "two categories have the name 'bolt'",
    no_box: r"annotations\[0\] \(id 1\) has bbox \[1, 'x', 2, 3\]",
    nc_and_names_differ: 'nc is 4, but names has 3',
    gap_in_names: 'must be 0 to 2 without a gap',
    empty_list: 'val.txt: the list is empty',
    broken_val_image: r'val: 1 of 2 images cannot be used: .*val_1.png',
    no_train: 'there is no train split, only val',
    two_files_for_train: '2 annotation files for one split',
    no_objects: 'no object of the classes bolt, nut, washer is in the train',
    masks_for_a_detector: 'it has folders of images and masks, for semantic',
    empty_folder: 'the folder is empty',
    not_there: 'is not there',
}


@pytest.mark.parametrize('fault', FAULTS, ids=lambda f: f.__name__)
def test_one_clear_line(fault: Callable, tmp_path: Path) -> None:
    fault(tmp_path / 'data')
    with pytest.raises(UserError, match=FAULTS[fault]) as error:
        load(tmp_path / 'data')
    assert len(str(error.value)) < 700


# What is mended, with a word about it
def test_two_point_polygons_and_repeated_ids(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)

    def change(content: dict) -> None:
        content['annotations'][0]['segmentation'] = [[1, 1, 5, 5]]
        content['annotations'][2]['id'] = content['annotations'][1]['id']

    edit_json(train_json(root), change)
    data = load(root)
    assert boxes(data) == EXPECTED
    assert '1 annotations share an id' in '\n'.join(data.findings.lines())
    data = load(root, task='instance')
    assert [len(b) for b in boxes(data)] == [0, 2, 3, 1]
    notes = '\n'.join(data.findings.lines())
    assert '1 polygons have fewer than three points' in notes
    assert '1 objects have no mask and are left out: train_0.png' in notes


def test_boxes_beyond_the_image_and_without_area(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)

    def change(content: dict) -> None:
        content['annotations'][0]['bbox'] = [-10, -5, 30, 20]
        content['annotations'][1]['bbox'] = [3, 3, 0, 9]
        content['annotations'][2]['bbox'] = [500, 3, 9, 9]

    edit_json(train_json(root), change)
    data = load(root)
    assert boxes(data)[0] == [('bolt', 0, 0, 20, 15)]
    assert boxes(data)[1] == []
    notes = '\n'.join(data.findings.lines())
    for words in ('are clipped', 'have no area', 'outside their image'):
        assert f'{words}' in notes


def test_paths_of_another_machine(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)

    def change(content: dict) -> None:
        for image in content['images']:
            image['file_name'] = f'C:\\Users\\me\\data\\{image["file_name"]}'

    edit_json(train_json(root), change)
    assert boxes(load(root)) == EXPECTED


def test_yaml_of_another_machine_and_of_roboflow(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    names = list(CLASSES)
    for train, val in (
        ('/home/me/old/data/images/train', 'D:\\old\\images\\val'),
        ('../images/train', '../images/val'),
        ('./images/train/', '[images/val]'),
    ):
        (root / 'data.yaml').write_text(
            f'train: {train}\nval: {val}\nnc: 3\nnames: {names}\n'
        )
        assert boxes(load(root)) == EXPECTED


def test_lists_of_images(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    for split in SHOTS:
        lines = [f'./images/{split}/{s.name}.png' for s in SHOTS[split]]
        (root / f'{split}.txt').write_text('\r\n'.join([*lines, '', '']))
    (root / 'data.yaml').write_text(
        f'train: train.txt\nval: val.txt\nnames: {list(CLASSES)}\n'
    )
    assert boxes(load(root)) == EXPECTED


def test_darknet_beside_the_images(tmp_path: Path) -> None:
    for split in SHOTS:
        for shot in SHOTS[split]:
            path = save_image(tmp_path / split, shot)
            lines = [yolo_line(i, b, shot.size) for i, b in shot.boxes]
            path.with_suffix('.txt').write_text('\n'.join(lines))
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES))
    data = load(tmp_path)
    assert boxes(data) == EXPECTED
    (tmp_path / 'classes.txt').unlink()
    assert load(tmp_path).classes == ['class_0', 'class_1', 'class_2']


def test_marks_line_ends_and_utf_16(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    for path in root.rglob('*.txt'):
        text = '\r\n'.join(path.read_text().split('\n'))
        path.write_bytes(b'\xef\xbb\xbf' + text.encode())
    yaml = root / 'data.yaml'
    yaml.write_bytes(yaml.read_text().encode('utf-16'))
    assert boxes(load(root)) == EXPECTED
    root = write_coco(tmp_path / 'coco', SHOTS)
    path = train_json(root)
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert boxes(load(root)) == EXPECTED


@pytest.mark.parametrize('layout', list(DETECTION))
def test_unicode_spaces_and_upper_case_suffixes(
    layout: str, tmp_path: Path
) -> None:
    shots = {
        split: [s._replace(name=f'Prüf stück {s.name}') for s in items]
        for split, items in SHOTS.items()
    }
    root = DETECTION[layout](tmp_path / 'Meine Daten é', shots)
    for path in root.rglob('*.png'):
        path.rename(path.with_suffix('.PNG'))
    assert boxes(load(root)) == EXPECTED


@pytest.mark.parametrize('mode', ['I;16', 'L', 'RGBA', 'CMYK', 'P', '1'])
def test_modes_of_images(mode: str, tmp_path: Path) -> None:
    root = write_voc(tmp_path / 'data', SHOTS)
    path = root / 'JPEGImages' / 'train_1.png'
    size = SHOTS['train'][1].size
    if mode == 'I;16':
        image = Image.fromarray(np.full(size[::-1], 30000, np.uint16))
    else:
        image = Image.new('RGB', size, (9, 99, 9)).convert(mode)
    if mode == 'CMYK':
        path.unlink()
        path = path.with_suffix('.jpg')
    image.save(path)
    data = load(root)
    assert sorted(map(len, boxes(data))) == sorted(map(len, EXPECTED))
    loaded = imread(str(path))
    assert loaded.shape == (*size[::-1], 3)
    assert loaded.dtype == np.uint8


def test_broken_images_are_left_out_of_training(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    (root / 'train' / 'train_2.png').write_bytes(b'')
    data = load(root)
    assert boxes(data) == [*EXPECTED[:2], EXPECTED[3]]
    notes = '\n'.join(data.findings.lines())
    assert '1 images cannot be used and are left out' in notes
    assert 'train_2.png' in notes


@pytest.mark.parametrize('orientation', range(1, 9))
def test_labels_turn_with_the_image(orientation: int, tmp_path: Path) -> None:
    """A white box in a black picture is where its label is, upright."""
    content = dict(
        images=[dict(id=i, file_name=f'{i}.png', width=60, height=40)
                for i in range(2)],
        annotations=[
            dict(id=i, image_id=i, category_id=1, bbox=[5, 8, 20, 10],
                 segmentation=[[5, 8, 25, 8, 25, 18, 5, 18]])
            for i in range(2)
        ],
        categories=[dict(id=1, name='a')],
    )  # fmt: skip
    array = np.zeros((40, 60), np.uint8)
    array[8:18, 5:25] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    for index in range(2):
        image = Image.fromarray(array)
        image.save(tmp_path / f'{index}.jpg', exif=exif, quality=95)
        content['images'][index]['file_name'] = f'{index}.jpg'
    if 1 < orientation < 5:  # the size does not tell: labels are upright
        x, y = ((35, 8), (35, 22), (5, 22))[orientation - 2]
        for ann in content['annotations']:
            ann['bbox'] = [x, y, 20, 10]
    (tmp_path / 'all.json').write_text(json.dumps(content))
    data = load(tmp_path)
    sample = data.splits['train'][0]
    upright = imread(str(sample.path), flag='grayscale')
    assert upright.shape == (sample.height, sample.width)
    x, y, w, h = (round(v) for v in sample.objects[0].bbox)
    inside = upright[y : y + h, x : x + w]
    assert inside.shape in ((10, 20), (20, 10))
    assert (inside > 128).all()
    assert (upright > 128).sum() == 200
    lines = '\n'.join(data.findings.lines())
    assert ('carry an EXIF rotation' in lines) == (orientation != 1)


def test_resized_images(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    path = root / 'train' / 'train_0.png'
    width, height = SHOTS['train'][0].size
    Image.open(path).resize((width * 2, height * 2)).save(path)
    data = load(root)
    expected = [(n, *(2 * v for v in box)) for n, *box in EXPECTED[0]]
    assert boxes(data)[0] == expected
    lines = '\n'.join(data.findings.lines())
    assert f'({width * 2} x {height * 2}, labels for {width} x' in lines
    Image.open(path).resize((50, 70)).save(path)
    assert boxes(load(root)) == EXPECTED[1:]


@pytest.mark.parametrize('layout', ['yolo', 'labelme'])
def test_polygons_are_those_of_coco(layout: str, tmp_path: Path) -> None:
    def polygons(data: LabeledData) -> list:
        return [
            [o.segmentation for o in sample.objects]
            for sample in data.splits['train']
        ]

    expected = load(write_coco(tmp_path / 'coco', SHOTS), task='instance')
    if layout == 'yolo':
        root = write_yolo(tmp_path / 'data', SHOTS, polygons=True)
    else:
        root = write_labelme(tmp_path / 'data', SHOTS)
    found = load(root, task='instance')
    for a, b in zip(polygons(found), polygons(expected)):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert boxes(found) == boxes(expected) == EXPECTED
    with pytest.raises(UserError, match='no masks or polygons'):
        load(write_voc(tmp_path / 'voc', SHOTS), task='instance')


# Splits
def test_missing_val_is_cut_by_name_and_stays(tmp_path: Path) -> None:
    shots = make_shots(12)['train']

    def splits(count: int) -> tuple[set[str], set[str]]:
        root = write_voc(tmp_path / str(count), dict(train=shots[:count]))
        data = load(root)
        assert any('are held out' in note for note in data.notes)
        train, val = (
            {s.path.stem for s in data.splits[split]}
            for split in ('train', 'val')
        )
        return train, val

    train, val = splits(12)
    assert val == {s.name for s in shots if share_of(f'{s.name}.png') < 0.2}
    assert train | val == {s.name for s in shots}
    fewer_train, fewer_val = splits(9)
    assert fewer_train <= train
    assert fewer_val <= val


def test_one_json_without_splits(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', dict(all=make_shots(12)['train']))
    data = load(root)
    assert len(data.splits['train']) + len(data.splits['val']) == 12
    assert data.splits['test'] is data.splits['val']


def test_unlabeled_test_is_not_scored(tmp_path: Path) -> None:
    root = write_roboflow(tmp_path / 'data', dict(SHOTS, test=SHOTS['val']))
    path = root / 'test' / '_annotations.coco.json'
    edit_json(path, lambda content: content.pop('annotations'))
    data = load(root)
    assert data.splits['test'] is data.splits['val']
    assert any('2 images without labels' in note for note in data.notes)


def test_category_that_heads_a_group_is_no_class(tmp_path: Path) -> None:
    data = load(write_roboflow(tmp_path / 'data', SHOTS))
    assert data.classes == list(CLASSES)
    assert any('part heads a group' in note for note in data.notes)


def test_part_of_the_classes(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / 'data', SHOTS)
    data = load(root, ['washer', 'bolt'])
    assert data.classes == ['washer', 'bolt']
    expected = [[b for b in image if b[0] != 'nut'] for image in EXPECTED]
    assert boxes(data) == expected
    with pytest.raises(UserError, match='bolts: no class .* mean bolt'):
        load(root, ['bolts'])


# What is said of sound data
def test_table_and_warnings(tmp_path: Path) -> None:
    root = write_voc(tmp_path / 'data', SHOTS)
    shutil.copy(
        root / 'JPEGImages' / 'train_0.png', root / 'JPEGImages' / 'val_0.png'
    )
    for shot in SHOTS['val']:
        text = voc_text(shot).replace('<name>nut<', '<name>bolt<')
        (root / 'Annotations' / f'{shot.name}.xml').write_text(text)
    cfg = load_config('lvt_dense::ssdlite_mobilevit_xxs_320_coco.py')
    for step in cfg.test_dataloader.dataset.pipeline:
        if 'scale' in step:
            step['scale'] = (20, 20)
    text = describe_data(cfg, load(root))
    rows = {line.split('  ')[0].strip(): line for line in text.split('\n')}
    counts = [sum(b[0] == n for i in EXPECTED for b in i) for n in CLASSES]
    assert rows['images'].split()[1:] == ['4', '2']
    for name, count in zip(CLASSES, counts):
        line = next(r for r in text.split('\n') if r.startswith(f'  {name}'))
        assert int(line.split()[1]) == count
    assert 'never occur in val: nut' in text
    assert '1 images are in two splits' in text
    assert 'train_0.png (train) = val_0.png (val)' in text
    assert 'smaller than 8 pixels at the input size 20 x 20' in text
    assert '32 x 32 would do' in text
