"""Masks whose table of classes is short, double, or missing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lvt_dense.datasets.own.api import load_labels
from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.errors import UserError

SIZE = (64, 48)
COLORS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)


def stripes(index: int, count: int) -> np.ndarray:
    """Labels from 0 on, in stripes."""
    x = np.arange(SIZE[0]) + index
    return np.tile((x * count // (SIZE[0] + 8)).astype(np.uint8), (SIZE[1], 1))


def write(
    root: Path,
    draw: Callable[[int], np.ndarray],
    table: str = '',
    count: int = 2,
    mask: str = 'masks/{split}/{name}.png',
    image: str = 'images/{split}/{name}.jpg',
) -> LabeledData:
    """Write images and masks, and read them."""
    for split in ('train', 'val'):
        for index in range(count):
            names = dict(split=split, name=f'{split}{index}')
            for pattern in (image, mask):
                path = root / pattern.format(**names)
                path.parent.mkdir(parents=True, exist_ok=True)
                if pattern == image:
                    Image.new('RGB', SIZE, (index, 9, 9)).save(path)
                else:
                    Image.fromarray(draw(index)).save(path)
    if table:
        suffix = 'csv' if ',' in table else 'txt'
        name = 'class_dict' if suffix == 'csv' else 'classes'
        (root / f'{name}.{suffix}').write_text(table)
    return load_labels(None, root, 'semantic')


def maps(data: LabeledData) -> list[np.ndarray]:
    """The label maps of train."""
    return [np.array(Image.open(s.mask)) for s in data.splits['train']]


@pytest.mark.parametrize('last', [1, 255])
def test_one_name_for_two_values(last: int, tmp_path: Path) -> None:
    data = write(tmp_path / 'data', lambda i: stripes(i, 2) * last, 'road\n')
    assert data.classes == ['background', 'road']
    for index, labels in enumerate(maps(data)):
        np.testing.assert_array_equal(labels, stripes(index, 2))
    assert (
        'the table names road alone, and the masks have two values: 0 is the '
        'background'
    ) in data.notes


@pytest.mark.parametrize('table', ['road\n', 'ground\nroad\n'])
def test_names_for_soft_edges(table: str, tmp_path: Path) -> None:
    def draw(index: int) -> np.ndarray:
        picture = Image.fromarray(stripes(index, 2) * 255)
        return np.array(picture.filter(ImageFilter.GaussianBlur(1)))

    data = write(tmp_path / 'data', draw, table)
    assert data.classes[-1] == 'road'
    for index, labels in enumerate(maps(data)):
        assert (labels != stripes(index, 2)).mean() < 0.02


def test_one_name_less_than_values(tmp_path: Path) -> None:
    data = write(tmp_path / 'data', lambda i: stripes(i, 4), 'a\nb\nc\n')
    assert data.classes == ['a', 'b', 'c']
    assert (
        'the masks have the values 0 to 3, and the table names 3 classes: a '
        'is 0, and 3 does not count; if 0 is the background, name it first'
    ) in data.notes


def test_names_with_values_leave_out_the_background(tmp_path: Path) -> None:
    data = write(tmp_path / 'data', lambda i: stripes(i, 3), '1: a\n2: b\n')
    assert data.classes == ['a', 'b']
    expected = np.array([255, 0, 1], np.uint8)[stripes(0, 3)]
    np.testing.assert_array_equal(maps(data)[0], expected)
    assert 'no class has' in data.findings.lines()[0]


def test_another_value_than_255_for_what_does_not_count(
    tmp_path: Path,
) -> None:
    """Labels near 0 and a large value are no black and white picture."""

    def draw(index: int) -> np.ndarray:
        labels = stripes(index, 3)
        labels[:5] = 254
        return labels

    data = write(tmp_path / 'data', draw)
    assert data.classes == ['label_0', 'label_1', 'label_2', 'label_254']
    assert 'the values 0, 1, 2, 254, which become' in data.notes[0]


def test_numbers_of_objects(tmp_path: Path) -> None:
    text = 'if these number the objects of an image, they are no classes'
    data = write(tmp_path / 'a', lambda i: stripes(0, 2 + i), count=5)
    assert text in data.findings.lines()[0]
    data = write(tmp_path / 'b', lambda i: stripes(0, 5) * (i % 2), count=5)
    assert not data.findings.lines()


def test_two_classes_of_one_color(tmp_path: Path) -> None:
    table = 'name,r,g,b\nbg,0,0,0\nred,128,0,0\ngreen,0,128,0\nplate,128,0,0'
    data = write(tmp_path / 'data', lambda i: COLORS[stripes(i, 3)], table)
    assert data.classes == ['bg', 'red', 'green', 'plate']
    np.testing.assert_array_equal(maps(data)[1], stripes(1, 3))
    assert data.findings.lines()[0] == (
        '1 classes have the color of another class, for which their pixels '
        'count: plate (red)'
    )


def test_colors_that_the_table_lacks(tmp_path: Path) -> None:
    def draw(index: int) -> np.ndarray:
        mask = COLORS[stripes(index, 3)]
        mask[0, 0], mask[0, 1] = (1, 2, 3), (4, 5, 6)
        return mask

    table = 'name,r,g,b\nbg,0,0,0\nred,128,0,0\ngreen,0,128,0\n'
    data = write(tmp_path / 'a', draw, table)
    assert data.findings.lines()[0].startswith(
        '4 masks have colors that the table lacks, which do not count: '
        'train0.png (1, 2, 3), (4, 5, 6), train1.png'
    )
    jpeg = 'masks/{split}/{name}.jpg'
    with pytest.raises(UserError, match='train0.jpg is a JPEG, whose compress'
                       r'ion has made \d+ colors'):  # fmt: skip
        write(tmp_path / 'b', draw, table, mask=jpeg)


def test_several_masks_of_an_image(tmp_path: Path) -> None:
    """Part of the objects would count as background."""
    root = tmp_path / 'data'
    places = dict(mask='{split}/{name}_mask.png', image='{split}/{name}.png')
    write(root, lambda i: stripes(i, 2) * 255, **places)
    Image.new('L', SIZE).save(root / 'train' / 'train0_mask_1.png')
    data = load_labels(None, root, 'semantic')
    assert [s.path.name for s in data.splits['train']] == ['train1.png']
    assert (
        '1 images have several masks and are left out: train0.png; merge the '
        'masks of each into one file'
    ) in data.notes
    assert not data.findings.lines()
