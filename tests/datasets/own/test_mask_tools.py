"""Masks as other tools write them, through the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run_command
from helpers.own_data_commands import SEGMENTER, label_maps, read, summary
from PIL import Image, ImageFilter

SIZE = (64, 48)
COLORS = [(0, 0, 0), (200, 30, 30), (30, 200, 30)]


def circle(index: int) -> np.ndarray:
    """A disk, 1 in 0."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return ((x - 25 - index) ** 2 + (y - 20) ** 2 < 12**2).astype(np.uint8)


def stripes(index: int, count: int) -> np.ndarray:
    """Labels from 0 on, in stripes."""
    x = np.arange(SIZE[0]) + index
    return np.tile((x * count // (SIZE[0] + 4)).astype(np.uint8), (SIZE[1], 1))


def write(
    root: Path,
    save: Callable[[Path, int], None],
    image: str = 'images/{split}/{name}.jpg',
    mask: str = 'masks/{split}/{name}.png',
) -> Path:
    """Write two images a split, and let ``save`` write their masks."""
    for split in ('train', 'val'):
        for index in range(2):
            names = dict(split=split, name=f'{split}{index}')
            for pattern in (image, mask):
                path = root / pattern.format(**names)
                path.parent.mkdir(parents=True, exist_ok=True)
                if pattern == image:
                    noise = np.random.default_rng(index).integers(
                        0, 99, (*SIZE[::-1], 3), dtype=np.uint8
                    )
                    Image.fromarray(noise).save(path)
                else:
                    save(path, index)
    return root


def compare(root: Path, expected: Callable, *args: str) -> None:
    """Read the masks by the command, and compare them."""
    found = label_maps(read(SEGMENTER, root, *args))
    assert len(found) == 2
    for index, labels in enumerate(found.values()):
        np.testing.assert_array_equal(labels, expected(index))


def in_palette(
    path: Path, labels: np.ndarray, colors: list[tuple[int, int, int]]
) -> None:
    """Save indices with a palette."""
    picture = Image.fromarray(labels, 'L').convert('P')
    picture.putdata(labels.ravel().tolist())
    picture.putpalette([v for color in colors for v in color])
    picture.save(path)


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA'])
@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_soft_and_lossy_edges(mode: str, suffix: str, tmp_path: Path) -> None:
    if mode == 'RGBA' and suffix == 'jpg':
        mode = 'CMYK'

    def save(path: Path, index: int) -> None:
        picture = Image.fromarray(circle(index) * 255)
        picture = picture.filter(ImageFilter.GaussianBlur(0.7)).convert(mode)
        picture.save(path, quality=85)

    mask = f'masks/{{split}}/{{name}}.{suffix}'
    root = write(tmp_path / 'data', save, mask=mask)
    found = label_maps(read(SEGMENTER, root))
    for index, labels in enumerate(found.values()):
        assert set(np.unique(labels)) == {0, 1}
        assert np.mean(labels != circle(index)) < 0.01
    assert 'blurred edges' in summary(root)


@pytest.mark.parametrize('count', [3, 4, 6, 11])
@pytest.mark.parametrize('named', [True, False])
def test_ids_spread_over_the_gray_levels(
    count: int, named: bool, tmp_path: Path
) -> None:
    def save(path: Path, index: int) -> None:
        levels = np.round(np.arange(count) * 255 / (count - 1))
        Image.fromarray(levels.astype(np.uint8)[stripes(index, count)]).save(
            path
        )

    root = write(tmp_path / 'data', save)
    if named:
        text = '\n'.join(f'class {i}' for i in range(count))
        (root / 'classes.txt').write_text(text)
    compare(root, lambda index: stripes(index, count))


def test_train_ids_and_void_are_no_soft_edges(tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        labels = stripes(index, 17)
        labels[:24] = 255
        Image.fromarray(labels).save(path)

    root = write(tmp_path / 'data', save)
    cfg = read(SEGMENTER, root)
    assert cfg.model.decode_head.num_classes == 17


def test_palettes_in_different_order(tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        labels = stripes(index, 3)
        if index:
            order = np.array([2, 0, 1], np.uint8)
            colors = [COLORS[1], COLORS[2], COLORS[0]]
            in_palette(path, order[labels], colors)
        else:
            in_palette(path, labels, COLORS)

    root = write(tmp_path / 'data', save)
    compare(root, lambda index: stripes(index, 3))
    assert 'their colors tell the classes' in summary(root)


@pytest.mark.parametrize('other', ['RGB', 'L'])
def test_files_in_different_modes(other: str, tmp_path: Path) -> None:
    colors = COLORS if other == 'RGB' else [(v, v, v) for v in (0, 90, 200)]

    def save(path: Path, index: int) -> None:
        labels = stripes(index, 3)
        if index:
            table = np.array(colors, np.uint8)
            Image.fromarray(table[labels]).convert(other).save(path)
        else:
            in_palette(path, labels, colors)

    compare(write(tmp_path / 'data', save), lambda i: stripes(i, 3))


def test_binary_masks_in_different_modes(tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        if index:
            Image.fromarray(circle(1) * 255).convert('1').save(path)
        else:
            Image.fromarray(circle(0)).save(path)

    compare(write(tmp_path / 'data', save), circle)


def test_palettes_that_cannot_be_told_apart(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    def save(path: Path, index: int) -> None:
        colors = [(9, 9, 99), (99, 99, 9), (1, 2, 3)] if index else COLORS
        in_palette(path, stripes(index, 3), colors)

    root = write(tmp_path / 'data', save)
    assert run_command('train', SEGMENTER, '--data', root) != 0
    assert 'save all masks with one palette' in ''.join(capfd.readouterr())


def test_first_line_of_labelme(tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        labels = stripes(index, 3)
        labels[0] = 255
        Image.fromarray(labels).save(path)

    def expected(index: int) -> np.ndarray:
        labels = stripes(index, 3)
        labels[0] = 255
        return labels

    root = write(tmp_path / 'data', save)
    names = ['__ignore__', '_background_', 'cat', 'dog']
    (root / 'labels.txt').write_text('\n'.join(names))
    compare(root, expected)
    cfg = read(SEGMENTER, root)
    assert list(cfg.val_dataloader.dataset.metainfo.classes) == names[1:]


@pytest.mark.parametrize('orientation', [3, 6, 8])
@pytest.mark.parametrize('is_stored', [True, False])
def test_masks_of_images_with_an_exif_rotation(
    orientation: int, is_stored: bool, tmp_path: Path
) -> None:
    """The disk is bright in the image, and its label must lie on it."""

    def save(path: Path, index: int) -> None:
        labels = circle(index)
        image = np.stack([labels * 180 + 20] * 3, -1).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0112] = orientation
        folder = path.parents[2] / 'images' / path.parent.name
        Image.fromarray(image).save(
            folder / f'{path.stem}.jpg', exif=exif, quality=95
        )
        if not is_stored:
            labels = np.rot90(labels, {3: 2, 6: -1, 8: 1}[orientation])
        Image.fromarray(np.ascontiguousarray(labels)).save(path)

    root = write(tmp_path / 'data', save)
    cfg = read(SEGMENTER, root)
    found = label_maps(cfg)
    turns = {3: 2, 6: -1, 8: 1}[orientation]
    for index, labels in enumerate(found.values()):
        np.testing.assert_array_equal(labels, np.rot90(circle(index), turns))
    assert ('are turned with them' in summary(root)) == is_stored


def test_half_turn_that_nothing_tells(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    def save(path: Path, index: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = 3
        folder = path.parents[2] / 'images' / path.parent.name
        Image.new('RGB', SIZE, (9, 9, 9)).save(
            folder / f'{path.stem}.jpg', exif=exif
        )
        Image.fromarray(circle(index)).save(path)

    root = write(tmp_path / 'data', save)
    assert run_command('train', SEGMENTER, '--data', root) != 0
    assert 'save the images upright' in ''.join(capfd.readouterr())


FORMATS = ['png', 'gif', 'pgm', 'avif', 'tif', 'bmp', 'webp']


@pytest.mark.parametrize('suffix', FORMATS)
def test_formats_of_masks(suffix: str, tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        options = dict(lossless=True) if suffix == 'webp' else {}
        if suffix == 'avif':
            options = dict(quality=100, subsampling='4:4:4')
        labels = stripes(index, 2)
        Image.fromarray(labels * 255).save(path, **options)

    mask = f'masks/{{split}}/{{name}}.{suffix}'
    root = write(tmp_path / 'data', save, mask=mask)
    compare(root, lambda index: stripes(index, 2))


@pytest.mark.parametrize('mode', ['P', 'PA', 'LA', 'I;16', 'F', '1'])
def test_modes_of_label_maps(mode: str, tmp_path: Path) -> None:
    """Pictures are drawn of each, too."""
    suffix = 'tif' if mode == 'F' else 'png'

    def save(path: Path, index: int) -> None:
        labels = stripes(index, 2 if mode == '1' else 3)
        if mode == 'P':
            in_palette(path, labels, COLORS)
        elif mode == '1':
            Image.fromarray(labels * 255).convert('1').save(path)
        elif mode == 'F':
            Image.fromarray(labels.astype(np.float32)).save(path)
        elif mode == 'I;16':
            Image.fromarray(labels.astype(np.uint16)).save(path)
        elif mode == 'LA':
            Image.fromarray(labels).convert('LA').save(path)
        else:
            in_palette(path, labels, COLORS)
            picture = Image.open(path)
            picture.load()
            picture.info['transparency'] = bytes([255, 255, 0])
            picture.save(path, transparency=bytes([255, 255, 0]))

    mask = f'masks/{{split}}/{{name}}.{suffix}'
    root = write(tmp_path / 'data', save, mask=mask)
    compare(root, lambda index: stripes(index, 2 if mode == '1' else 3))
    assert len(list((tmp_path / 'work' / 'data').glob('*.png'))) == 2


LAYOUTS = dict(
    deepglobe=('{split}/{name}_sat.jpg', '{split}/{name}_mask.png'),
    parent=('seg_data/{split}/images/{name}.jpg',
            'seg_data/{split}/masks/{name}.png'),
    parent_gt=('gt_label_ann/{split}/{name}.jpg',
               'gt_label_ann/{split}_labels/{name}.png'),
    prefix=('images/{split}/image_{name}.jpg',
            'masks/{split}/mask_{name}.png'),
    cities=('leftImg8bit/{split}/aachen/{name}_leftImg8bit.png',
            'gtFine/{split}/aachen/{name}_gtFine_labelTrainIds.png'),
)  # fmt: skip


@pytest.mark.parametrize('layout', list(LAYOUTS))
def test_layouts_of_well_known_data(layout: str, tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        labels = stripes(index, 3)
        Image.fromarray(labels).save(path)
        if layout == 'cities':
            name = str(path).replace('labelTrainIds', '{}')
            Image.fromarray(labels + 7).save(name.format('labelIds'))
            Image.fromarray(labels + 99).save(name.format('instanceIds'))
            Image.new('RGB', SIZE, (9, 9, 200)).save(name.format('color'))

    image, mask = LAYOUTS[layout]
    root = write(tmp_path / 'data', save, image, mask)
    compare(root, lambda index: stripes(index, 3))


def test_cityscapes_with_label_ids_alone(tmp_path: Path) -> None:
    def save(path: Path, index: int) -> None:
        Image.fromarray(np.array([0, 7, 26], np.uint8)[stripes(index, 3)]
                        ).save(path)  # fmt: skip

    root = write(
        tmp_path / 'data',
        save,
        'leftImg8bit/{split}/ulm/{name}_leftImg8bit.png',
        'gtFine/{split}/ulm/{name}_gtFine_labelIds.png',
    )
    order = np.array([255, 0, 13], np.uint8)  # road is 0, car is 13
    compare(root, lambda index: order[stripes(index, 3)])


def test_trimaps_of_pets(tmp_path: Path) -> None:
    root = tmp_path / 'data'
    write(root, lambda path, index: Image.fromarray(
        stripes(index, 3) + 1).save(path), 'images/{name}.jpg',
        'annotations/trimaps/{name}.png')  # fmt: skip
    (root / 'annotations' / 'list.txt').write_text('# of all\n')
    for split, name in (('trainval', 'train'), ('test', 'val')):
        lines = [f'{name}{i} 1 1 1' for i in range(2)]
        (root / 'annotations' / f'{split}.txt').write_text('\n'.join(lines))
    cfg = read(SEGMENTER, root)
    classes = list(cfg.test_dataloader.dataset.metainfo.classes)
    assert classes == ['background', 'foreground']
    found = label_maps(cfg, 'test')
    assert sorted(found) == ['val0.jpg', 'val1.jpg']
    order = np.array([1, 0, 255], np.uint8)
    np.testing.assert_array_equal(found['val0.jpg'], order[stripes(0, 3)])


def test_masks_that_are_too_large(
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = write(
        tmp_path / 'data',
        lambda path, index: Image.fromarray(circle(index)).save(path),
    )
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    assert run_command('train', SEGMENTER, '--data', root) != 0
    out = ''.join(capfd.readouterr())
    assert 'exceeds limit' in out
    assert 'Traceback' not in out
