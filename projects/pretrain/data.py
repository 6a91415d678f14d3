"""Images in a folder a class, and the steps that prepare them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.structures import BaseDataElement

from lvt_dense.registry import DATASETS, TRANSFORMS
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES


@DATASETS.register_module()
class ClassFolderDataset(BaseDataset):
    """Classified images: ``<split>/<class>/**/<image>``.

    The classes and their order are those of the folders of one split, also
    for the others, where some may be absent.

    Args:
        data_root: Folder of the splits.
        data_prefix: The split, such as ``dict(img_path='val/')``.
        classes_from: Split whose folders are the classes.
        **kwargs: As for MMEngine's ``BaseDataset``.

    Raises:
        UserError: A folder is missing or empty, or is no known class.
    """

    def __init__(
        self,
        data_root: str,
        data_prefix: dict[str, str],
        classes_from: str = 'train/',
        **kwargs: Any,
    ) -> None:
        metainfo = dict(kwargs.pop('metainfo', None) or {})
        if 'classes' not in metainfo:
            metainfo['classes'] = list_classes(Path(data_root, classes_from))
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """List the images, by class and path."""
        root = Path(self.data_prefix['img_path'])
        classes = self.metainfo['classes']
        unknown = sorted({*list_classes(root)} - {*classes})
        if unknown:
            raise UserError(
                f'{root / unknown[0]} is none of the {len(classes)} classes: '
                f'{_some(classes)}; the folders of all splits need the same '
                'names'
            )
        return [
            dict(img_path=path, gt_label=label)
            for label, name in enumerate(classes)
            for path in _list_images(root / name)
        ]


def list_classes(folder: Path) -> tuple[str, ...]:
    """List the classes of a split: the names of its folders.

    Args:
        folder: The split.

    Raises:
        UserError: It is missing, has no folders, or one has no images.
    """
    if not folder.is_dir():
        raise UserError(
            f'{folder} is not there; it should hold a folder of images for '
            'each class: name the folder above with --data-root'
        )
    names = sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith('.')
    )
    if not names:
        raise UserError(
            f'{folder} has no folders: put the images of each class in one '
            'of its own'
        )
    for name in names:
        if next(_list_images(folder / name), None) is None:
            raise UserError(
                f'{folder / name} has no images ({", ".join(IMAGE_SUFFIXES)}):'
                ' fill or delete it'
            )
    return tuple(names)


def _list_images(folder: Path) -> Iterator[str]:
    """List the images of a class in a fixed order."""
    for path, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            is_image = name.lower().endswith(IMAGE_SUFFIXES)
            if is_image and not name.startswith('.'):
                yield os.path.join(path, name)


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:4]) + (', ...' if len(names) > 4 else '')


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Cut out a random part, and bring it to a size.

    Args:
        scale: (width, height) of the result in pixels.
        area: Smallest and largest share of the image that is cut out.
        ratio: Smallest and largest width over height of the part.
        attempts: Draws until a part lies inside the image; after them the
            whole image is taken.
    """

    def __init__(
        self,
        scale: Sequence[int],
        area: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        attempts: int = 10,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1:
            raise UserError(
                f'RandomResizedCrop: area={tuple(area)}; give two shares of '
                'the image, such as (0.08, 1.0)'
            )
        self.scale = tuple(scale)
        self.area, self.ratio = tuple(area), tuple(ratio)
        self.attempts = attempts

    def transform(self, results: dict) -> dict:
        """Cut and resize ``results['img']``."""
        image = mmcv.imcrop(results['img'], self._draw(results['img'].shape))
        results['img'] = mmcv.imresize(image, self.scale)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Left, top, right and bottom of a part, inclusive."""
        height, width = shape[:2]
        for _ in range(self.attempts):
            area = height * width * np.random.uniform(*self.area)
            ratio = np.exp(np.random.uniform(*np.log(self.ratio)))
            w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if 0 < w <= width and 0 < h <= height:
                left = np.random.randint(width - w + 1)
                top = np.random.randint(height - h + 1)
                return np.array([left, top, left + w - 1, top + h - 1])
        return np.array([0, 0, width - 1, height - 1])


@TRANSFORMS.register_module()
class PackClassInputs(BaseTransform):
    """Pack an image and its class for :class:`ImageClassifier`."""

    def transform(self, results: dict) -> dict:
        """Make ``inputs`` (3, H, W) and ``data_samples``."""
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        keys = ('img_path', 'ori_shape', 'img_shape')
        sample = BaseDataElement(
            metainfo={key: results[key] for key in keys if key in results}
        )
        sample.gt_label = results['gt_label']
        return dict(inputs=torch.from_numpy(image), data_samples=sample)
