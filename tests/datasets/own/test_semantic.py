"""Semantic masks as people have them, all to the same label maps."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from lvt_dense.config import load_config
from lvt_dense.datasets.own import use_data
from lvt_dense.datasets.own.semantic import class_weights
from lvt_dense.utils.errors import UserError

NAMES = ('sky', 'road', 'tree')
COLORS = ((10, 20, 200), (90, 90, 90), (0, 160, 20))
SIZE = (40, 30)


def label_map(index: int) -> np.ndarray:
    """Three stripes whose border moves with the index."""
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[:, 10 + index :] = 1
    labels[20:] = 2
    labels[0, 0] = 255
    return labels


def write(
    root: Path,
    save: Callable[[Path, np.ndarray], None],
    layout: str = '{kind}/{split}/{name}{suffix}',
    kinds: tuple[str, str] = ('images', 'masks'),
    end: str = '',
) -> Path:
    """Write two splits of three and two images."""
    for split, count in (('train', 3), ('val', 2)):
        for index in range(count):
            name = f'{split}{index}'
            for kind, suffix in zip(kinds, ('.jpg', f'{end}.png')):
                path = root / layout.format(
                    kind=kind, split=split, name=name, suffix=suffix
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == kinds[0] and suffix == '.jpg':
                    Image.new('RGB', SIZE, (index, 9, 9)).save(path)
                else:
                    save(path, label_map(index))
    return root


def gray(path: Path, labels: np.ndarray) -> None:
    """Save label ids."""
    Image.fromarray(labels).save(path)


def palette(path: Path, labels: np.ndarray) -> None:
    """Save indices with a palette."""
    picture = Image.fromarray(labels).convert('P')
    picture.putdata(labels.ravel().tolist())
    flat = [v for color in COLORS for v in color]
    picture.putpalette(flat + [0] * (765 - len(flat)) + [224, 224, 192])
    picture.save(path)


def rgb(path: Path, labels: np.ndarray) -> None:
    """Save colors; what does not count is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(COLORS)] = COLORS
    Image.fromarray(table[labels]).save(path)


def gray_rgb(path: Path, labels: np.ndarray) -> None:
    """Save label ids in three channels."""
    Image.fromarray(np.stack([labels] * 3, -1)).save(path)


def spread(path: Path, labels: np.ndarray) -> None:
    """Save ids with gaps."""
    Image.fromarray(
        np.array([0, 50, 100] + [255] * 253, np.uint8)[labels]
    ).save(path)


def names_file(root: Path) -> None:
    """Name the classes in a text file."""
    (root / 'classes.txt').write_text('\r\n'.join(NAMES), 'utf-8-sig')


def class_dict(root: Path) -> None:
    """Name classes and colors in a CSV file."""
    rows = [f'{n},{r},{g},{b}' for n, (r, g, b) in zip(NAMES, COLORS)]
    (root / 'class_dict.csv').write_text(
        '\n'.join(['name,r,g,b', *rows, 'Void,0,0,0'])
    )


def cvat(root: Path) -> None:
    """Name classes and colors as CVAT does."""
    rows = [f'{n}:{r},{g},{b}::' for n, (r, g, b) in zip(NAMES, COLORS)]
    (root / 'labelmap.txt').write_text('# label:color\n' + '\n'.join(rows))


def pixel_values(root: Path) -> None:
    """Name values as Roboflow does, in every split's folder."""
    rows = [f'{i}, {n}' for i, n in enumerate(NAMES)]
    for split in ('train', 'val'):
        (root / split / '_classes.csv').write_text(
            '\n'.join(['Pixel Value, Class', *rows])
        )


def small_config() -> Config:
    """A segmenter whose classes are others."""
    return load_config('lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py')


CASES = dict(
    ids=(gray, {}, names_file),
    split_first=(
        gray,
        dict(layout='{split}/{kind}/{name}{suffix}'),
        names_file,
    ),
    segnet=(
        gray,
        dict(layout='{split}{kind}/{name}{suffix}', kinds=('', 'annot')),
        names_file,
    ),
    mmseg=(gray, dict(kinds=('img_dir', 'ann_dir')), names_file),
    roboflow=(
        gray,
        dict(layout='{split}/{name}{suffix}', end='_mask'),
        pixel_values,
    ),
    palette=(palette, dict(kinds=('JPEGImages', 'SegmentationClass')), None),
    palette_table=(palette, {}, class_dict),
    rgb=(rgb, dict(kinds=('images', 'labels'), end='_L'), class_dict),
    rgb_cvat=(rgb, {}, cvat),
    gray_rgb=(gray_rgb, {}, names_file),
    gaps=(spread, {}, None),
)  # fmt: skip


@pytest.mark.parametrize('case', list(CASES))
def test_every_kind_of_mask_gives_the_same_label_maps(
    case: str, tmp_path: Path
) -> None:
    save, options, table = CASES[case]
    root = write(tmp_path / 'data', save, **options)
    if table:
        table(root)
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    cfg = use_data(small_config(), root)
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(dataset) == 2
    for index in range(2):
        data = dataset[index]['data_samples'].gt_sem_seg.data[0].numpy()
        np.testing.assert_array_equal(data, label_map(index))
    if table:
        assert dataset.metainfo['classes'] == NAMES
    if save in (palette, rgb):
        assert [tuple(c) for c in dataset.metainfo['palette']] == [*COLORS]
    assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before


def test_heads_pipelines_and_weights_follow(tmp_path: Path) -> None:
    root = write(tmp_path / 'data', gray)
    names_file(root)
    cfg = load_config('lvt_dense::pspnet_emo_1m_360_camvid.py')
    use_data(cfg, root)
    assert cfg.model.decode_head.num_classes == 3
    assert cfg.model.auxiliary_head.num_classes == 3
    weights = cfg.model.decode_head.loss_decode.class_weight
    counts = sum(
        np.bincount(label_map(i).ravel(), minlength=256)[:3] for i in range(3)
    )
    share = counts / counts.sum()
    raw = 1 / np.log(1.05 + share)
    assert weights == pytest.approx(raw / (raw @ share), abs=0.005)
    text = repr([cfg.train_dataloader, cfg.test_dataloader, cfg.tta_pipeline])
    assert "'num_classes': 3" in text
    assert "'num_classes': 11" not in text
    assert cfg.default_hooks.checkpoint.save_best == 'mIoU'


def test_binary_masks(tmp_path: Path) -> None:
    def save(path: Path, labels: np.ndarray) -> None:
        Image.fromarray(np.uint8(labels == 2) * 255).save(path)

    cfg = use_data(small_config(), write(tmp_path / 'data', save))
    assert cfg.model.decode_head.num_classes == 2
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert dataset.metainfo['classes'] == ('background', 'foreground')
    data = dataset[1]['data_samples'].gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(data, label_map(1) == 2)


def test_void_in_segnets_camvid_does_not_count(tmp_path: Path) -> None:
    def save(path: Path, labels: np.ndarray) -> None:
        Image.fromarray(np.where(labels == 255, 3, labels)).save(path)

    root = write(tmp_path / 'data', save)
    (root / 'classes.txt').write_text('\n'.join([*NAMES, 'void']))
    cfg = use_data(small_config(), root)
    assert cfg.model.decode_head.num_classes == 3
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    data = dataset[1]['data_samples'].gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(data, label_map(1))


def test_part_of_the_classes_and_names_from_the_command_line(
    tmp_path: Path,
) -> None:
    root = write(tmp_path / 'data', gray)
    cfg = use_data(small_config(), root, NAMES)
    assert cfg.train_dataloader.dataset.metainfo.classes == NAMES
    names_file(root)
    cfg = use_data(small_config(), root, ['tree', 'road'])
    init_default_scope('mmseg')
    data = DATASETS.build(cfg.val_dataloader.dataset)[0]['data_samples']
    expected = np.array([255, 1, 0] + [255] * 253)[label_map(0)]
    np.testing.assert_array_equal(data.gt_sem_seg.data[0], expected)
    with pytest.raises(UserError, match='roda: no class .* mean road'):
        use_data(small_config(), root, ['roda', 'sky'])


def test_more_than_255_classes(tmp_path: Path) -> None:
    def save(path: Path, labels: np.ndarray) -> None:
        wide = np.arange(labels.size, dtype=np.uint16).reshape(labels.shape)
        Image.fromarray(wide % 300).save(path)

    cfg = use_data(small_config(), write(tmp_path / 'data', save))
    assert cfg.model.decode_head.num_classes == 300
    assert cfg.model.decode_head.ignore_index == 65535
    assert cfg.model.data_preprocessor.seg_pad_val == 65535
    assert cfg.val_evaluator.ignore_index == 65535
    init_default_scope('mmseg')
    data = DATASETS.build(cfg.val_dataloader.dataset)[0]['data_samples']
    expected = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[::-1]) % 300
    np.testing.assert_array_equal(data.gt_sem_seg.data[0], expected)


def test_polygons_become_label_maps(tmp_path: Path) -> None:
    points = [[5, 5], [25, 5], [25, 15], [5, 15]]
    for index in range(3):
        Image.new('RGB', SIZE, (index, 0, 0)).save(tmp_path / f'{index}.jpg')
        shape = dict(label='pond', points=points, shape_type='polygon')
        (tmp_path / f'{index}.json').write_text(
            json.dumps(dict(shapes=[shape], imagePath=f'{index}.jpg'))
        )
    cfg = use_data(small_config(), tmp_path)
    classes = cfg.train_dataloader.dataset.metainfo.classes
    assert classes == ('background', 'pond')
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(dataset) == 1  # cut from the three
    data = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert data[10, 15] == 1
    assert data[2, 2] == data[25, 35] == 0
    assert 200 <= data.sum() <= 231


@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        ('size', 'is 7 x 7, its image 40 x 30'),
        ('broken', 'cannot be read'),
        ('colors', 'no table says which class each is'),
        ('names', 'none has the name of an image'),
        ('jpeg', 'photograph|compress'),
    ],
)
def test_bad_masks_are_one_line(
    fault: str, words: str, tmp_path: Path
) -> None:
    root = write(tmp_path / 'data', rgb if fault == 'colors' else gray)
    for path in sorted((root / 'masks').rglob('*.png')):
        if fault == 'size':
            Image.new('L', (7, 7)).save(path)
        elif fault == 'broken':
            path.write_bytes(b'no picture')
        elif fault == 'names':
            path.rename(path.with_name(f'other{path.name}'))
        elif fault == 'jpeg':
            rng = np.random.default_rng(0)
            noise = rng.integers(0, 200, SIZE[::-1], dtype=np.uint8)
            Image.fromarray(noise).save(path.with_suffix('.jpg'))
            path.unlink()
    with pytest.raises(UserError, match=words):
        use_data(small_config(), root)


def test_weights_of_classes_that_never_occur_are_finite() -> None:
    weights = class_weights({0: 100, 1: 0}, 2)
    assert weights[0] == 1.0
    assert 10 < weights[1] < 30
