"""Load images; skip those that cannot be read, or name them."""

import logging
import os
from typing import Any

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile as MMCVLoadImageFromFile
from mmengine.logging import print_log

from lvt_dense.datasets.image_files import decode_image
from lvt_dense.registry import TRANSFORMS
from lvt_dense.runtime.bands import read_bands
from lvt_dense.runtime.errors import InputError
from lvt_dense.utils.errors import UserError


@TRANSFORMS.register_module()
class LoadImageFromFile(MMCVLoadImageFromFile):
    """Load an image as MMCV does, and name the file that cannot be read.

    Images of all formats are turned as their EXIF data say; see
    :func:`~lvt_dense.datasets.image_files.decode_image`.

    Args:
        skip_unreadable: Warn once a file and let the data set draw another
            image, for training. Otherwise raise, for validation and testing,
            where a missing image would falsify the metrics.
        bands: Number of bands of images that are no color pictures, which
            are loaded in the order of the file; None for color pictures.
        **kwargs: Arguments of MMCV's ``LoadImageFromFile``.
    """

    def __init__(
        self,
        *args: Any,
        skip_unreadable: bool = False,
        bands: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.bands = bands
        self.skip_unreadable = skip_unreadable
        self._warned: set[str] = set()
        self._size_warned = False

    def transform(self, results: dict) -> dict | None:
        """Load ``results['img_path']``.

        Returns:
            ``results`` with ``img`` (H, W, C), ``img_shape`` and
            ``ori_shape``, or None for an image that is skipped.

        Raises:
            UserError: The file is missing, empty or no image.
        """
        path = results['img_path']
        try:
            loaded = self._load(results)
        except FileNotFoundError as error:
            raise UserError(f'image {path} is not there') from error
        except InputError as error:  # wrong for all images, mostly
            raise UserError(f'image {error}') from error
        except Exception as error:  # each decoder has its own
            self._unreadable(path, error)
            return None
        if loaded is None or loaded.get('img') is None:
            self._unreadable(path, None)
            return None
        self._check_size(loaded)
        return loaded

    def _load(self, results: dict) -> dict:
        if self.file_client_args is not None:
            return super().transform(results)
        data = fileio.get(results['img_path'], backend_args=self.backend_args)
        image: np.ndarray | None
        if self.bands is not None:
            path = results['img_path']
            image = read_bands(data, self.bands, path)
        else:
            backend = self.imdecode_backend
            image = decode_image(data, self.color_type, backend)
        if image is not None and self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        if image is not None:
            results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _check_size(self, results: dict) -> None:
        """Compare the image with the size that its labels say.

        Boxes are clipped to the image that is there, and left out where
        nothing remains: a box without area makes the loss infinite.
        """
        stated = results.get('height'), results.get('width')
        height, width = results['img'].shape[:2]
        if None in stated or stated == (height, width):
            return
        kept = []
        for instance in results.get('instances') or []:
            x1, y1, x2, y2 = instance['bbox']
            box = [max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)]
            if box[0] < box[2] and box[1] < box[3]:
                kept.append(dict(instance, bbox=box))
        if 'instances' in results:
            lost = len(results['instances']) - len(kept)
            results['instances'] = kept
            results['height'], results['width'] = height, width
        else:
            lost = 0
        if not self._size_warned:
            self._size_warned = True
            print_log(
                f'image {results["img_path"]} is {width} x {height}, but its '
                f'labels are for {stated[1]} x {stated[0]} (resized, or '
                f'turned by EXIF?); {lost} of its boxes lie outside and are '
                'left out. Other images are not reported; --data DIR checks '
                'all',
                logger='current',
                level=logging.WARNING,
            )

    def _unreadable(self, path: str, error: Exception | None) -> None:
        message = f'image {path} is empty or corrupt'
        if not self.skip_unreadable:
            raise UserError(f'{message}: replace it') from error
        if path not in self._warned:
            self._warned.add(path)
            print_log(
                f'{message}; training goes on without it',
                logger='current',
                level=logging.WARNING,
            )


@TRANSFORMS.register_module(name=['InferencerLoader', 'LoadImageFromNDArray'])
class InferencerLoader(LoadImageFromFile):
    """Load an image from a path, or take one that is loaded already.

    MMSegmentation's inferencers put a transform of these names in the place
    of the loader of a test pipeline, in the loader's own scope.

    Args:
        **kwargs: Arguments of :class:`LoadImageFromFile`.
    """

    def transform(self, results: dict | str | np.ndarray) -> dict | None:
        """Load an image.

        Args:
            results: A path, an image (H, W, 3) in BGR order, or a dict with
                either of them under ``img_path`` or ``img``.

        Returns:
            As :class:`LoadImageFromFile`.

        Raises:
            UserError: The file is missing, empty or no image.
        """
        if isinstance(results, (str, os.PathLike)):
            results = dict(img_path=str(results))
        elif isinstance(results, np.ndarray):
            results = dict(img=results)
        if 'img' not in results:
            return super().transform(results)
        image = results['img']
        if self.to_float32:
            image = image.astype(np.float32)
        size = image.shape[:2]
        return dict(
            results, img=image, img_path=None, img_shape=size, ori_shape=size
        )
