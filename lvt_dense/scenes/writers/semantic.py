"""The rendered scenes in the layouts of four semantic segmentation sets.

Folders and names are those that mmseg's data sets (and ours, for CamVid) read
by default when ``data_root`` is the folder written.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lvt_dense.scenes.frame import Frame
from lvt_dense.scenes.layout import NEAR_PROFILE
from lvt_dense.scenes.solids import Label
from lvt_dense.utils.errors import UserError

from .common import Series, save_image, stage_folder

IGNORE = 255


def _table(default: int, values: dict[Label, int]) -> np.ndarray:
    """Make a table (L,) from the scene's labels to those of a data set."""
    return np.array([values.get(label, default) for label in Label], np.uint8)


# ADE20K's mask values: 0 is nothing, class i of the 150 is i + 1.
_ADE20K = _table(0, {
    Label.SKY: 3, Label.ROAD: 7, Label.SIDEWALK: 12, Label.GRASS: 10,
    Label.BUILDING: 2, Label.FENCE: 33, Label.TREE: 5, Label.POLE: 94,
    Label.SIGN: 44, Label.CAR: 21, Label.PERSON: 13, Label.RIDER: 13,
    Label.BICYCLE: 128,
})  # fmt: skip
_CITYSCAPES_TRAIN = _table(IGNORE, {
    Label.SKY: 10, Label.ROAD: 0, Label.SIDEWALK: 1, Label.GRASS: 9,
    Label.BUILDING: 2, Label.FENCE: 4, Label.TREE: 8, Label.POLE: 5,
    Label.SIGN: 7, Label.CAR: 13, Label.PERSON: 11, Label.RIDER: 12,
    Label.BICYCLE: 18,
})  # fmt: skip
_CITYSCAPES_IDS = _table(0, {
    Label.SKY: 23, Label.ROAD: 7, Label.SIDEWALK: 8, Label.GRASS: 22,
    Label.BUILDING: 11, Label.FENCE: 13, Label.TREE: 21, Label.POLE: 17,
    Label.SIGN: 20, Label.CAR: 26, Label.PERSON: 24, Label.RIDER: 25,
    Label.BICYCLE: 33,
})  # fmt: skip
_VOC = _table(0, {
    Label.CAR: 7, Label.PERSON: 15, Label.RIDER: 15, Label.BICYCLE: 2,
})  # fmt: skip
# CamVid's eleven classes have none for lawns.
_CAMVID = _table(IGNORE, {
    Label.SKY: 0, Label.ROAD: 3, Label.SIDEWALK: 4, Label.BUILDING: 1,
    Label.FENCE: 7, Label.TREE: 5, Label.POLE: 2, Label.SIGN: 6,
    Label.CAR: 8, Label.PERSON: 9, Label.RIDER: 10, Label.BICYCLE: 10,
})  # fmt: skip


def _write_ade20k(work: Path, series: Series, i: int, frame: Frame) -> None:
    part, split = (
        ('train', 'training')
        if series.part(i) == 'train'
        else ('val', 'validation')
    )
    name = f'ADE_{part}_{i + 1:08d}'
    save_image(work / 'images' / split / f'{name}.jpg', frame.image)
    mask = _ADE20K[frame.labels]
    save_image(work / 'annotations' / split / f'{name}.png', mask)


def _write_cityscapes(
    work: Path, series: Series, i: int, frame: Frame
) -> None:
    folder = Path(series.part(i), 'demo')
    stem = f'demo_{i:06d}_000019'
    image = work / 'leftImg8bit' / folder / f'{stem}_leftImg8bit.png'
    save_image(image, frame.image)
    ids = _CITYSCAPES_IDS[frame.labels]
    # Things are class id * 1000 + number from 0, all else the class id.
    numbered = ids.astype(np.uint16) * 1000 + frame.instances - 1
    things = np.where(frame.instances > 0, numbered, ids)
    for kind, mask in (
        ('labelTrainIds', _CITYSCAPES_TRAIN[frame.labels]),
        ('labelIds', ids),
        ('instanceIds', things.astype(np.uint16)),
    ):
        save_image(
            work / 'gtFine' / folder / f'{stem}_gtFine_{kind}.png', mask
        )


def _write_voc(work: Path, series: Series, i: int, frame: Frame) -> None:
    name = f'2012_{i:06d}'
    save_image(work / 'JPEGImages' / f'{name}.jpg', frame.image)
    for folder in ('SegmentationClass', 'SegmentationClassAug'):
        save_image(work / folder / f'{name}.png', _VOC[frame.labels])
    split = series.part(i)
    if split == 'train' and (i - series.val_rank(i)) % 2:
        split = 'aug'  # beyond the original training images
    _list(work / 'ImageSets' / 'Segmentation', name, split)


def _list(folder: Path, name: str, *splits: str) -> None:
    for split in splits:
        with open(folder / f'{split}.txt', 'a') as file:
            file.write(f'{name}\n')


def _write_camvid(work: Path, series: Series, i: int, frame: Frame) -> None:
    split = series.part(i)
    if split == 'val' and series.val_rank(i) % 2:
        split = 'test'
    name = f'demo_{i:06d}'
    save_image(work / 'images' / split / f'{name}.jpg', frame.image)
    mask = _CAMVID[frame.labels]
    save_image(work / 'labels' / split / f'{name}.png', mask)


@dataclass(frozen=True)
class _Layout:
    write: Callable[[Path, Series, int, Frame], None]
    size: tuple[int, int]
    # Folders and empty lists that exist even when nothing falls to them.
    folders: tuple[str, ...]
    lists: tuple[str, ...] = ()


_LAYOUTS = {
    'ade20k': _Layout(
        _write_ade20k,
        (320, 240),
        tuple(
            f'{kind}/{split}'
            for kind in ('images', 'annotations')
            for split in ('training', 'validation')
        ),
    ),
    'cityscapes': _Layout(
        _write_cityscapes,
        (512, 256),
        tuple(
            f'{kind}/{split}/demo'
            for kind in ('leftImg8bit', 'gtFine')
            for split in ('train', 'val')
        ),
    ),
    'voc': _Layout(
        _write_voc,
        (320, 240),
        (
            'JPEGImages',
            'SegmentationClass',
            'SegmentationClassAug',
            'ImageSets/Segmentation',
        ),
        tuple(
            f'ImageSets/Segmentation/{split}.txt'
            for split in ('train', 'aug', 'val')
        ),
    ),  # fmt: skip
    'camvid': _Layout(
        _write_camvid,
        (480, 360),
        tuple(
            f'{kind}/{split}'
            for kind in ('images', 'labels')
            for split in ('train', 'val', 'test')
        ),
    ),
}
SEMANTIC_LAYOUTS = tuple(_LAYOUTS)


def write_semantic(
    out_dir: str | os.PathLike,
    layout: str,
    num_images: int,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    val_fraction: float = 0.25,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write images and masks as ADE20K, Cityscapes, VOC 2012 or CamVid.

    - 'ade20k': images and annotations in training/ and validation/.
    - 'cityscapes': leftImg8bit and gtFine, one city 'demo', with
      labelTrainIds, labelIds and instanceIds.
    - 'voc': JPEGImages, SegmentationClass, SegmentationClassAug and
      ImageSets/Segmentation; every second training image is in aug.txt
      instead of train.txt. All that is no car, person or bicycle is
      background.
    - 'camvid': images and labels in train/, val/ and test/; every second
      image outside train is a test image. Grass is ignored.

    Args:
        out_dir: Folder of the data set; must be new or empty.
        layout: One of the names above.
        num_images: Number of images in all splits.
        seed: Selects the series of scenes.
        size: Width and height in pixels; by default
            512 x 256 for 'cityscapes', 480 x 360 for 'camvid', else
            320 x 240.
        val_fraction: Share of images outside train, in [0, 1).
        overwrite: Replace an older data set of this kind.
        progress: Show a progress bar.

    Returns:
        ``out_dir``.

    Raises:
        UserError: An argument or the folder cannot be used.
    """
    if layout not in _LAYOUTS:
        raise UserError(
            f"unknown layout '{layout}': give one of "
            f'{", ".join(SEMANTIC_LAYOUTS)}'
        )
    chosen = _LAYOUTS[layout]
    series = Series(num_images, seed, size or chosen.size, val_fraction)
    with stage_folder(out_dir, layout, series, overwrite) as work:
        for folder in chosen.folders:
            (work / folder).mkdir(parents=True)
        for name in chosen.lists:
            (work / name).touch()
        for index, frame in series.frames(NEAR_PROFILE, progress):
            chosen.write(work, series, index, frame)
    return Path(out_dir)
