"""What ended in a traceback: names, links, broken values, missing splits."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import run_command
from helpers.own_data import (
    make_shots,
    save_image,
    write_coco,
    write_voc,
    write_yolo,
)
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

from lvt_dense.datasets.image_files import read_header

SHOTS = make_shots(4)


def train_json(root: Path) -> Path:
    """The annotation file of train."""
    return root / 'annotations' / 'instances_train.json'


def run(
    capfd: pytest.CaptureFixture, root: Path, config: str = DETECTOR
) -> tuple[int, str]:
    """Run a training up to its start; return status and output."""
    from unittest import mock

    work = root.parent / 'work'
    with mock.patch('lvt_dense.apis.train.train', lambda *_, **__: None):
        status = run_command(
            'train', config, '--data', root, '--work-dir', work
        )
    out = ''.join(capfd.readouterr())
    assert 'Traceback' not in out
    return status, out


ODD = [[], {}, [1], {'a': 1}, None, True, 'x', '5', '', -1, 1.5, 1e300,
       10**400, 'NaN', [[1, 2]], '\u0000', float('nan')]  # fmt: skip
PLACES = [
    ('images', 'id'), ('images', 'file_name'), ('images', 'width'),
    ('annotations', 'id'), ('annotations', 'image_id'),
    ('annotations', 'category_id'), ('annotations', 'bbox'),
    ('annotations', 'area'), ('annotations', 'iscrowd'),
    ('annotations', 'segmentation'), ('categories', 'id'),
    ('categories', 'name'), ('categories', 'supercategory'),
]  # fmt: skip


@pytest.mark.parametrize('part, key', PLACES)
@pytest.mark.parametrize('size', [1, 2])
def test_values_of_other_kinds(
    part: str,
    key: str,
    size: int,
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
) -> None:
    """Any value is read, or refused in one line; resized images too."""
    from lvt_dense.datasets.own.api import load_labels
    from lvt_dense.utils.errors import UserError

    root = write_coco(tmp_path / 'data', SHOTS)
    good = json.loads(train_json(root).read_text())
    if size > 1:
        for path in (root / 'train').iterdir():
            picture = Image.open(path)
            picture.resize([2 * v for v in picture.size]).save(path)
    for value in ODD:
        content = json.loads(json.dumps(good))
        content[part][0][key] = value
        train_json(root).write_text(json.dumps(content))
        try:
            data = load_labels(None, root, 'instance')
        except UserError as error:
            assert len(str(error)) < 600
        else:
            assert len(data.splits['val']) == 2


MASKS: list[Any] = [
    [1, 2, 3, 4, 5, 6], [[1, 2], [30, 4], [5, 36]], ['a'], 'text', 5,
    [{'x': 1, 'y': 2}, {'x': 30, 'y': 4}, {'x': 5, 'y': 36}], [{}], [[]],
    [None], [[1, 2, None, 4, 5, 6]], [['1', '2', '30', '4', '5', '36']],
    {'size': [48], 'counts': [1]}, {'counts': 'x'}, {'size': 'ab'},
    {'size': [10**9, 10**9], 'counts': [10**18]}, [[1e300] * 6],
    [[1e9, 2, 3, 4, 5, 6]], [[float('nan')] * 6], {'size': [9, 9],
    'counts': None}, [True, False],
]  # fmt: skip


@pytest.mark.parametrize('index', range(len(MASKS)))
def test_masks_of_other_kinds(index: int, tmp_path: Path) -> None:
    from lvt_dense.datasets.own.api import load_labels

    root = write_coco(tmp_path / 'data', SHOTS)
    content = json.loads(train_json(root).read_text())
    content['annotations'][0]['segmentation'] = MASKS[index]
    train_json(root).write_text(json.dumps(content))
    for path in (root / 'train').iterdir():
        picture = Image.open(path)
        picture.resize([2 * v for v in picture.size]).save(path)
    for task in ('instance', 'semantic', 'detection'):
        data = load_labels(None, root, task)
        assert len(data.splits['train']) == 4


@pytest.mark.parametrize(
    'text',
    [
        '{"images": ' + '[' * 100_000 + ']' * 100_000 + '}',
        '{"images": {}, "annotations": [], "categories": []}',
        '{"images": [], "annotations": 5, "categories": []}',
        '{"images": [], "annotations": {}, "categories": 5}',
        '{"images": [1], "annotations": [], "categories": []}',
        '[]',
        '5',
        '',
    ],
)
def test_files_of_other_kinds(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    train_json(root).write_text(text)
    status, out = run(capfd, root)
    assert status != 0
    assert len(out.strip().splitlines()[-1]) < 700


def test_numbers_that_are_texts(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    expected = boxes(read(DETECTOR, root))
    content = json.loads(train_json(root).read_text())
    for image in content['images']:
        image.update(id=str(image['id']), width=str(image['width']))
    for ann in content['annotations']:
        ann.update({k: str(v) for k, v in ann.items() if k != 'bbox'
                    and k != 'segmentation'})  # fmt: skip
        ann['bbox'] = [str(v) for v in ann['bbox']]
    train_json(root).write_text(json.dumps(content))
    assert boxes(read(DETECTOR, root)) == expected


@pytest.mark.parametrize('links', ['self', 'two', 'up', 'split'])
def test_symbolic_links(links: str, tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    expected = boxes(read(DETECTOR, root))
    if links == 'self':
        (root / 'again').symlink_to('.')
    elif links == 'two':
        (root / 'train' / 'a').symlink_to(root / 'val')
        (root / 'val' / 'b').symlink_to(root / 'train')
    elif links == 'up':
        (root / 'up').symlink_to('..')
    else:
        (root / 'val').rename(root / 'part2')
        (root / 'val').symlink_to('part2')
    found = boxes(read(DETECTOR, root))
    assert found == expected


def test_names_that_are_not_utf_8(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    root = write_voc(tmp_path / 'data', SHOTS)
    name = os.fsdecode(b'train_\xe9')
    for folder, suffix in (('JPEGImages', 'png'), ('Annotations', 'xml')):
        path = root / folder / f'train_1.{suffix}'
        path.rename(path.with_name(f'{name}.{suffix}'))
    (root / 'ImageSets/Main/train.txt').unlink()
    (root / 'ImageSets/Main/val.txt').unlink()
    (root / os.fsdecode(b'other_\xe9.txt')).write_text('x')
    status, out = run(capfd, root)
    assert status != 0
    assert 'names that are not UTF-8' in out


def test_images_that_are_cut_short(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    noise = np.random.default_rng(0).integers(0, 255, (72, 96, 3), np.uint8)
    for kind, options in (('JPEG', {'quality': 95}), ('PNG', {})):
        path = root / 'train' / 'train_0.png'
        Image.fromarray(noise).save(path, kind, **options)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert read_header(path).error == 'is cut short'
        cfg = read(DETECTOR, root)
        assert len(load(cfg)) == 3
        assert 'images cannot be used and are left out' in summary(root)
        path.write_bytes(data + b'trailing' * 1000)
        assert read_header(path).error == ''
    path = root / 'val' / 'val_0.png'
    path.write_bytes(path.read_bytes()[:-40])
    status, out = run(capfd, root)
    assert status != 0
    assert 'val: 1 of 2 images cannot be used' in out


def test_image_that_breaks_after_it_was_looked_at(tmp_path: Path) -> None:
    """The pictures leave it out."""
    root = write_coco(tmp_path / 'data', SHOTS)
    path = root / 'train' / 'train_1.png'
    data = bytearray(path.read_bytes())
    data[60 : len(data) - 60] = bytes(len(data) - 120)
    path.write_bytes(data)
    read(DETECTOR, root)
    pictures = {p.stem[2:] for p in (tmp_path / 'work/data').glob('*.png')}
    assert pictures == {'train_0', 'train_2', 'train_3'}


@pytest.mark.parametrize('split', ['test', 'val'])
@pytest.mark.parametrize('layout', ['coco', 'yolo'])
def test_data_with_one_split(
    split: str, layout: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    shots = {split: SHOTS['train']}
    root = tmp_path / 'data'
    if layout == 'coco':
        write_coco(root, shots)
    else:
        write_yolo(root, shots)
        names = '\n'.join(f'  {i}: {n}' for i, n in enumerate('abc'))
        (root / 'data.yaml').write_text(
            f'{split}: images/{split}\nnames:\n{names}\n'
        )
    checkpoint = tmp_path / 'none.pth'
    cfg = read(DETECTOR, root, checkpoint, command='test')
    assert len(load(cfg, 'test')) == 4
    status, out = run(capfd, root)
    assert status != 0
    assert 'there is no train split' in out


def test_data_without_splits_is_tested_as_a_whole(tmp_path: Path) -> None:
    import torch

    root = write_coco(tmp_path / 'data', dict(all=make_shots(10)['train']))
    cfg = read(DETECTOR, root)
    held_out = len(load(cfg, 'val'))
    assert 0 < held_out < 10
    own, other = tmp_path / 'own.pth', tmp_path / 'other.pth'
    meta = dict(cfg=cfg.pretty_text)
    torch.save(dict(meta=meta, state_dict={}), own)
    meta = dict(cfg="data_root = '/somewhere/else'")
    torch.save(dict(meta=meta, state_dict={}), other)
    for path, number in ((own, held_out), (other, 10)):
        cfg = read(DETECTOR, root, path, command='test')
        assert len(load(cfg, 'test')) == number


def test_work_dir_that_cannot_be_made(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    (tmp_path / 'file').write_text('')
    for args in (('--data', root), ('--data-root', root)):
        status = run_command(
            'train', DETECTOR, *args, '--work-dir', tmp_path / 'file' / 'x'
        )
        out = ''.join(capfd.readouterr())
        assert status != 0
        assert 'cannot be made' in out
        assert 'Traceback' not in out


def test_only_masks_of_a_brush_name_the_users_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    root = write_coco(tmp_path / 'data', SHOTS)
    for split in ('train', 'val'):
        path = root / 'annotations' / f'instances_{split}.json'
        content = json.loads(path.read_text())
        sizes = {i['id']: (i['height'], i['width'])
                 for i in content['images']}  # fmt: skip
        for ann in content['annotations']:
            mask = np.zeros(sizes[ann['image_id']], bool)
            x, y, w, h = ann['bbox']
            mask[y : y + h, x : x + w] = True
            ann.update(iscrowd=1, segmentation=rle(mask))
        path.write_text(json.dumps(content))
    found = boxes(read(INSTANCES, root))
    assert not any(item[-1] for items in found.values() for item in items)
    for split in ('train', 'val'):
        path = root / 'annotations' / f'instances_{split}.json'
        content = json.loads(path.read_text())
        for ann in content['annotations']:
            ann['ignore'] = 1
        path.write_text(json.dumps(content))
    status, out = run(capfd, root)
    assert status != 0
    assert f'--data {root}: no object of the classes' in out


def test_frames_of_one_stem_in_voc_lists(tmp_path: Path) -> None:
    root = tmp_path / 'data'
    lines = []
    for number, shot in enumerate(SHOTS['train'] * 2):
        camera = f'cam{number // 4}'
        shot = shot._replace(name=f'{number % 4:04}')
        save_image(root / 'JPEGImages' / camera, shot)
        from helpers.own_data import voc_text

        path = root / 'Annotations' / camera / f'{shot.name}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_text(shot))
        lines.append(f'{camera}/{shot.name}')
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    for split, part in (('train', lines[:6]), ('val', lines[6:])):
        path = root / 'ImageSets' / 'Main' / f'{split}.txt'
        path.write_text('\n'.join(part))
    cfg = read(DETECTOR, root)
    assert [len(load(cfg, s)) for s in ('train', 'val')] == [6, 2]
