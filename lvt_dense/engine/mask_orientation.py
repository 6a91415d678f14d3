"""Check the masks of images with an EXIF rotation, without ``--data``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from PIL import Image

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.image_files import read_headers
from lvt_dense.datasets.label_maps import read_mask
from lvt_dense.datasets.own.formats.labeled_data import Sample
from lvt_dense.datasets.own.upright import fits_stored
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

_COMPARED = 20  # images and masks
_REMEDY = (
    "save images and masks upright, for example with Pillow's "
    'ImageOps.exif_transpose, or use --data DIR, which rotates the masks'
)


def check_mask_orientation(
    cfg: Config, split: str, place: Path, infos: Sequence[dict]
) -> None:
    """Check that the masks of images with an EXIF rotation are rotated, too.

    Loading rotates the image. A mask of the stored image then has another
    size or, after a rotation by 180 degrees, wrong labels without an error.

    Args:
        cfg: Config of a segmenter.
        split: ``train``, ``val`` or ``test``.
        place: Where the images are listed, which names the cache file.
        infos: ``img_path`` and ``seg_map_path`` of local images.

    Raises:
        UserError: Masks match the stored image instead of the rotated one.
    """
    masks = {
        Path(info['img_path']): info['seg_map_path']
        for info in infos
        if info.get('seg_map_path')
    }
    if not masks or _ignores_orientation(cfg, split):
        return
    stored, turned, unclear = [], 0, []
    for path, header in read_headers(place, masks).items():
        if header.orientation == 1 or header.error:
            continue
        size = _size_of(masks[path])
        if (header.width, header.height) == header.upright_size == size:
            unclear.append(Sample(path, orientation=header.orientation))
        elif size == (header.width, header.height):
            stored.append(path)
        else:
            turned += 1
    if unclear and not stored and not turned:
        fits = fits_stored(_labeled(unclear[:_COMPARED], masks))
        if fits is None:
            _warn(split, unclear)
        elif fits:
            stored = [sample.path for sample in unclear]
    if stored:
        names = shorten((str(path) for path in stored), 3)
        raise UserError(
            f'{len(stored)} {split} images are rotated by their EXIF data '
            f'when they are loaded, but their masks are not: {names}; '
            f'{_REMEDY}'
        )


def _warn(split: str, samples: Sequence[Sample]) -> None:
    names = shorten((str(sample.path) for sample in samples), 3)
    print_log(
        f'{len(samples)} {split} images are rotated by their EXIF data when '
        'they are loaded, and it is unknown whether their masks match the '
        f'rotated images: {names}; if not, {_REMEDY}',
        logger='current',
        level=30,
    )


def _ignores_orientation(cfg: Config, split: str) -> bool:
    steps = [
        step
        for dataset in dataset_cfgs(cfg, split)
        for step in dataset.get('pipeline') or []
    ]
    return any('ignore_ori' in str(step.get('color_type')) for step in steps)


def _size_of(mask: str) -> tuple[int, int]:
    try:
        with Image.open(mask) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError):  # named when it is loaded
        return 0, 0


def _labeled(
    samples: Sequence[Sample], masks: dict[Path, str]
) -> list[tuple[Sample, np.ndarray]]:
    pairs = []
    for sample in samples:
        try:
            pairs.append((sample, read_mask(masks[sample.path])))
        except UserError:  # named when it is loaded
            continue
    return pairs
