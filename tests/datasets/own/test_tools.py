"""Objects as other tools write them, through the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import run_command
from helpers.own_data import CLASSES, make_shots, voc_text, write_coco
from helpers.own_data_commands import (
    DETECTOR,
    INSTANCES,
    boxes,
    load,
    read,
    rle,
    summary,
)
from PIL import Image

SHOTS = make_shots(4)


def save(path: Path, size: tuple[int, int] = (64, 48), **options: Any) -> None:
    """Save a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 255, (6, 8, 3))
    image = Image.fromarray(noise.astype(np.uint8)).resize(size)
    image.save(path, **options)


def coco(images: list[dict], annotations: list[dict], **more: Any) -> dict:
    """The content of an annotation file."""
    for number, item in enumerate(images, 1):
        item.setdefault('id', number)
        item.setdefault('width', 64)
        item.setdefault('height', 48)
    for number, item in enumerate(annotations, 1):
        item.setdefault('id', number)
        item.setdefault('category_id', 1)
        item.setdefault('iscrowd', 0)
        if 'bbox' in item:
            item.setdefault('area', item['bbox'][2] * item['bbox'][3])
    categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
    return dict(
        images=images,
        annotations=annotations,
        **{'categories': categories, **more},
    )


def write(root: Path, **contents: dict) -> Path:
    """Write annotation files, and the images that are not there."""
    for split, content in contents.items():
        path = root / 'annotations' / f'instances_{split}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        for image in content['images']:
            place = root / split / image['file_name']
            if not place.exists():
                save(place, (image['width'], image['height']))
    return root


def two_splits(root: Path, annotations: list[dict], **more: Any) -> Path:
    """The same annotations of two images in train and val."""
    contents = {
        split: coco(
            [dict(file_name=f'{split}{i}.png') for i in range(2)],
            json.loads(json.dumps(annotations)),
            **more,
        )
        for split in ('train', 'val')
    }
    return write(root, **contents)


def fails(capfd: pytest.CaptureFixture, config: str, root: Path) -> str:
    """Run a training that ends with one line, and return the line."""
    work = root.parent / 'work'
    status = run_command('train', config, '--data', root, '--work-dir', work)
    out = ''.join(capfd.readouterr())
    assert status not in (0, None)
    assert 'Traceback' not in out
    return out


def test_pose_labels_of_yolo(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    root = tmp_path / 'data'
    for split in ('train', 'val'):
        for index in range(2):
            save(root / 'images' / split / f'{index}.png')
            x, y = 0.4 + 0.1 * rng.random(2)
            points = np.column_stack(
                (
                    x + 0.2 * (rng.random(4) - 0.5),
                    y + 0.3 * (rng.random(4) - 0.5),
                    [1, 0, 1, 1],
                )
            )
            points[0, :2], points[1, :2] = (
                (x - 0.1, y - 0.15),
                (x + 0.1, y + 0.15),
            )
            text = ' '.join(f'{v:.6f}' for v in points.ravel())
            path = root / 'labels' / split / f'{index}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'0 {x:.6f} {y:.6f} 0.2 0.3 {text}\n')
    yaml = root / 'data.yaml'
    head = 'train: images/train\nval: images/val\nnames: [person]\n'
    yaml.write_text(f'{head}kpt_shape: [4, 3]\n')
    found = boxes(read(DETECTOR, root))['0.png']
    for item in found:
        assert item[3] - item[1] == pytest.approx(0.2 * 64, abs=0.02)
        assert item[4] - item[2] == pytest.approx(0.3 * 48, abs=0.02)
    assert 'key points of 4 objects are left out' in summary(root)
    yaml.write_text(head)
    assert 'add kpt_shape' in fails(capfd, DETECTOR, root)


@pytest.mark.parametrize('layout', ['coco', 'voc', 'labelme'])
def test_missing_frame_does_not_get_the_labels_of_another_camera(
    layout: str, tmp_path: Path
) -> None:
    root = tmp_path / 'data'
    names = [f'cam{c}/{i:04}.png' for c in (1, 2) for i in range(4)]
    for number, name in enumerate(names):
        save(root / 'images' / name)
        box = [number + 1, 5, 20, 20]
        x, y, w, h = box
        path = root / 'labels' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if layout == 'voc':
            path.with_suffix('.xml').write_text(
                f'<annotation><filename>{path.name}</filename><object><name>a'
                f'</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}'
                f'</xmax><ymax>{y + h}</ymax></bndbox></object></annotation>'
            )
        elif layout == 'labelme':
            shape = dict(label='a', points=[[x, y], [x + w, y + h]],
                         shape_type='rectangle')  # fmt: skip
            content = dict(shapes=[shape], imagePath=path.name)
            path.with_suffix('.json').write_text(json.dumps(content))
    if layout == 'coco':
        content = coco(
            [dict(file_name=name) for name in names],
            [dict(image_id=i + 1, bbox=[i + 1, 5, 20, 20]) for i in range(8)],
        )
        (root / 'all.json').write_text(json.dumps(content))
    (root / 'images/cam1/0002.png').unlink()
    cfg = read(DETECTOR, root)
    found = {}
    for split in ('train', 'val'):
        dataset = load(cfg, split)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            (item,) = info['instances']
            found['/'.join(Path(info['img_path']).parts[-2:])] = item['bbox']
    expected = {n: i + 1 for i, n in enumerate(names) if n != names[2]}
    assert {n: box[0] for n, box in found.items()} == expected
    assert 'not there' in summary(root) or 'no image' in summary(root)


def test_predictions_have_the_ids_of_the_users_file(tmp_path: Path) -> None:
    images = [dict(file_name=f'{i}.png', id=1000 - 7 * i) for i in range(3)]
    annotations = [
        dict(image_id=1000 - 7 * i, bbox=[5, 5, 20, 20], category_id=90)
        for i in range(3)
    ]
    categories = [dict(id=90, name='cat'), dict(id=17, name='dog')]
    content = coco(images, annotations, categories=categories)
    root = write(tmp_path / 'data', train=content, val=content)
    cfg = read(DETECTOR, root)
    dataset = load(cfg, 'test')
    for index in range(3):
        info = dataset.get_data_info(index)
        number = int(Path(info['img_path']).stem)
        assert info['img_id'] == 1000 - 7 * number
    written = json.loads(Path(cfg.test_evaluator.ann_file).read_text())
    by_name = {c['name']: c['id'] for c in written['categories']}
    assert by_name == dict(cat=90, dog=17)
    names = dict(zip(dataset.cat_ids, dataset.metainfo['classes']))
    assert names == {90: 'cat', 17: 'dog'}


def test_brush_masks_of_cvat_are_objects(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), bool)
    mask[10:30, 5:25] = True
    annotations = [
        dict(
            image_id=1 + i % 2,
            bbox=[5, 10, 20, 20],
            segmentation=rle(mask),
            iscrowd=1,
            attributes=dict(occluded=False),
        )
        for i in range(4)
    ]
    annotations += [
        dict(image_id=1, bbox=[30, 5, 10, 10],
             segmentation=[[30, 5, 40, 5, 40, 15, 30, 15]])
        for _ in range(12)
    ]  # fmt: skip
    root = two_splits(tmp_path / 'data', annotations)
    for config in (DETECTOR, INSTANCES):
        cfg = read(config, root)
        items = sum(boxes(cfg).values(), [])
        assert len(items) == 16
        assert not any(item[-1] for item in items)
        assert '8 run lengths have iscrowd 1, as CVAT writes' in summary(root)
    masks = load(cfg)[1]['data_samples'].gt_instances.masks
    assert masks.masks.any()


def test_crowds_of_coco_stay_crowds_and_the_table_says_so(
    tmp_path: Path,
) -> None:
    mask = np.zeros((48, 64), bool)
    mask[10:30, 5:25] = True
    crowd = dict(image_id=1, bbox=[5, 10, 20, 20], iscrowd=1,
                 segmentation=rle(mask))  # fmt: skip
    others = [dict(image_id=2, bbox=[i, 5, 10, 10]) for i in range(9)]
    root = two_splits(tmp_path / 'data', [crowd, *others])
    found = boxes(read(DETECTOR, root))
    assert [item[-1] for item in found['train0.png']] == [1]
    rows = [line.split() for line in summary(root).splitlines()]
    assert ['objects', '9', '9'] in rows
    assert ['(do', 'not', 'count)', '1', '1'] in rows


@pytest.mark.parametrize('fault', ['short', 'long', 'cut', 'negative', 'null'])
def test_run_lengths_that_do_not_fill_the_image(
    fault: str, tmp_path: Path
) -> None:
    mask = np.zeros((48, 64), bool)
    mask[10:30, 5:25] = True
    good, bad = rle(mask), rle(mask, compressed=fault == 'cut')
    if fault == 'cut':
        bad['counts'] = bad['counts'][:-2]
    else:
        bad['counts'] = dict(
            short=good['counts'][:-1],
            long=[*good['counts'], 5],
            negative=[-5, 5, *good['counts']],
            null=None,
        )[fault]
    annotations = [
        dict(image_id=1 + i, bbox=[5, 10, 20, 20], segmentation=code)
        for i, code in enumerate((good, bad))
    ]
    root = two_splits(tmp_path / 'data', annotations)
    cfg = read(INSTANCES, root)
    assert list(map(len, boxes(cfg).values())) == [1, 0]
    assert '2 masks have run lengths' in summary(root)
    loaded = load(cfg, 'train')[0]['data_samples'].gt_instances.masks
    assert len(loaded) == 1


@pytest.mark.parametrize('flag', [1, '1', True])
def test_ignore_is_neither_learned_nor_scored(
    flag: Any, tmp_path: Path
) -> None:
    annotations = [
        dict(image_id=1, bbox=[5, 5, 20, 20], ignore=flag),
        dict(image_id=1, bbox=[30, 5, 20, 20], ignore=0, iscrowd='0'),
        dict(image_id=2, bbox=[30, 5, 20, 20], ignore='0'),
    ]
    cfg = read(DETECTOR, two_splits(tmp_path / 'data', annotations))
    found = boxes(cfg)['train0.png']
    assert [item[-1] for item in found] == [1, 0]
    truth = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    assert [a['iscrowd'] for a in truth['annotations']] == [1, 0, 0]


def test_names_that_say_ignore_are_no_class(tmp_path: Path) -> None:
    for name in ('__ignore__', 'ignored regions', 'DontCare'):
        categories = [dict(id=1, name='cat'), dict(id=2, name=name)]
        annotations = [
            dict(image_id=1, bbox=[5, 5, 20, 20], category_id=2),
            dict(image_id=1, bbox=[30, 5, 20, 20]),
            dict(image_id=2, bbox=[30, 5, 20, 20]),
        ]
        root = two_splits(tmp_path / name / 'data', annotations,
                          categories=categories)  # fmt: skip
        cfg = read(DETECTOR, root)
        assert list(cfg.train_dataloader.dataset.metainfo.classes) == ['cat']
        assert [i[-1] for i in boxes(cfg)['train0.png']] == [1, 0]


@pytest.mark.parametrize('unit', ['fractions', 'corners'])
def test_boxes_in_other_units(
    unit: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    box = [0.3, 0.2, 0.4, 0.5] if unit == 'fractions' else [30, 20, 60, 45]
    annotations = [dict(image_id=1 + i % 2, bbox=box) for i in range(6)]
    out = fails(capfd, DETECTOR, two_splits(tmp_path / 'data', annotations))
    words = dict(fractions='between 0 and 1', corners='[left, top, right')
    assert words[unit] in out


def test_background_images_are_learned(tmp_path: Path) -> None:
    annotations = [dict(image_id=1, bbox=[5, 5, 20, 20])]
    cfg = read(DETECTOR, two_splits(tmp_path / 'data', annotations))
    dataset = load(cfg)
    assert len(dataset) == 2
    names = {Path(dataset[i]['data_samples'].img_path).name for i in range(2)}
    assert names == {'train0.png', 'train1.png'}
    assert len(load(cfg, 'val')) == 2


def test_an_image_twice_has_all_its_objects(tmp_path: Path) -> None:
    images = [dict(file_name='a.png'), dict(file_name='b.png'),
              dict(file_name='a.png')]  # fmt: skip
    annotations = [
        dict(image_id=1, bbox=[5, 5, 20, 20]),
        dict(image_id=2, bbox=[5, 5, 20, 20]),
        dict(image_id=3, bbox=[30, 5, 20, 20]),
        dict(image_id=3, bbox=[5, 5, 20, 20]),
    ]
    content = coco(images, annotations)
    root = write(tmp_path / 'data', train=content, val=content)
    found = boxes(read(DETECTOR, root))
    assert sorted(item[1] for item in found['a.png']) == [5, 30]
    assert len(found) == 2
    assert 'images are listed several times' in summary(root)


def test_names_of_yaml_stay_as_they_are_spelled(tmp_path: Path) -> None:
    names = ['yes', 'no', 'on', 'null', '~', '010', '1:30', '1e3', '1_000',
             '2020-01-01', '0x1F', '.inf', 'TRUE']  # fmt: skip
    root = tmp_path / 'data'
    for split in ('train', 'val'):
        for index in range(2):
            save(root / 'images' / split / f'{index}.png')
            path = root / 'labels' / split / f'{index}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{index} 0.5 0.5 0.4 0.4\n')
    head = 'train: images/train\nval: images/val\ntest:\nnc: 13\n'
    for text in (
        'names:\n' + ''.join(f'  {i}: {n}\n' for i, n in enumerate(names)),
        'names:\n' + ''.join(f'- {n}\n' for n in names),
        f'names: [{", ".join(names)}]\ntest: null\n',
    ):
        (root / 'data.yaml').write_text(head + text)
        cfg = read(DETECTOR, root)
        assert list(cfg.train_dataloader.dataset.metainfo.classes) == names


def test_words_by_chance_are_no_splits(tmp_path: Path) -> None:
    root = tmp_path / 'data'
    for number, shot in enumerate(SHOTS['train']):
        folder = root / 'crash_test' / f'test_rig_{number % 2}'
        name = f'test_{number}'
        save(folder / f'{name}.png', shot.size)
        text = voc_text(shot._replace(name=name))
        (folder / f'{name}.xml').write_text(text)
    cfg = read(DETECTOR, root)
    sizes = [len(load(cfg, split)) for split in ('train', 'val')]
    assert sum(sizes) == 4
    assert 'held out' in summary(root)
    root = tmp_path / 'named' / 'data'
    write_coco(root, SHOTS)
    for split in ('train', 'val'):
        path = root / 'annotations' / f'instances_{split}.json'
        path.rename(path.with_name(f'drone_{split}_v2.json'))
    cfg = read(DETECTOR, root)
    assert [len(load(cfg, s)) for s in ('train', 'val')] == [4, 2]


@pytest.mark.parametrize('kind', ['png', 'jpg', 'webp', 'tif', 'avif'])
@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_labels_meet_turned_images(
    kind: str, orientation: int, tmp_path: Path
) -> None:
    """A white box in a black picture is where its label is."""
    array = np.zeros((48, 64, 3), np.uint8)
    array[10:30, 5:25] = 255
    annotations = [dict(image_id=1 + i, bbox=[5, 10, 20, 20]) for i in (0, 1)]
    contents = {}
    for split in ('train', 'val'):
        names = [f'{split}{i}.{kind}' for i in range(2)]
        own = json.loads(json.dumps(annotations))
        contents[split] = coco([dict(file_name=n) for n in names], own)
        for name in names:
            path = tmp_path / 'data' / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            exif = Image.Exif()  # which saving changes
            exif[0x0112] = orientation
            Image.fromarray(array).save(path, exif=exif, quality=95)
    cfg = read(DETECTOR, write(tmp_path / 'data', **contents))
    dataset = load(cfg, 'val')
    info = dataset.get_data_info(0)
    loaded = dataset.pipeline.transforms[0](dict(info))['img']
    assert loaded.shape[:2] == ((48, 64) if orientation == 3 else (64, 48))
    x1, y1, x2, y2 = (round(v) for v in info['instances'][0]['bbox'])
    inside = loaded[y1:y2, x1:x2]
    assert inside.shape[:2] == (20, 20)
    assert inside.mean() > 200
    assert int(loaded.sum()) == pytest.approx(int(inside.sum()), rel=0.1)


def test_images_in_unusual_formats(tmp_path: Path) -> None:
    names = ['a.tga', 'b.ico', 'c.pcx', 'd.gif', 'e.ppm', 'f.avif']
    content = coco(
        [dict(file_name=n) for n in names],
        [dict(image_id=i + 1, bbox=[5, 5, 20, 20]) for i in range(6)],
    )
    for split in ('train', 'val'):
        save(tmp_path / 'data' / split / 'b.ico', (48, 48), sizes=[(48, 48)])
    content['images'][1].update(width=48)
    root = write(tmp_path / 'data', train=content, val=content)
    dataset = load(read(DETECTOR, root), 'val')
    assert len(dataset) == 6
    for index in range(6):
        assert dataset[index]['inputs'].float().std() > 1
    assert CLASSES  # of the other layouts
