"""Load semantic masks, and refuse those that cannot be right."""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from lvt_dense.datasets.label_maps import IGNORED, ignored_label, read_mask
from lvt_dense.registry import TRANSFORMS
from lvt_dense.utils.errors import UserError


@TRANSFORMS.register_module(name=['LoadSegAnnotations', 'LoadAnnotations'])
class LoadSegAnnotations(BaseTransform):
    """Load a semantic mask as mmseg's ``LoadAnnotations`` does, and check it.

    A label that no class has would silently count as nothing in the loss or
    stop it on a GPU with an unreadable assertion; a mask of another size than
    the image fails only later, in a crop.

    Test pipelines call it ``dict(type='LoadAnnotations',
    _scope_='lvt_dense')``: MMSegmentation's inferencers leave out the
    transform of this name.

    Args:
        num_classes: Labels of the finished mask are 0 to ``num_classes - 1``,
            and 255 where nothing counts. More than 255 classes have 65535
            there, and so must ``ignore_index`` of heads and metrics and
            ``seg_pad_val`` of the data preprocessor.
    """

    needs_annotations = True

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.ignored = ignored_label(num_classes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load ``results['seg_map_path']``.

        The keys ``reduce_zero_label`` and ``label_map`` of the data set
        apply as in mmseg.

        Returns:
            ``results`` with ``gt_seg_map``, (H, W), uint8, or uint16 for
            more than 255 classes. Without the key, as in a test set that
            has no masks, ``results`` as they are.

        Raises:
            UserError: The mask is missing, unreadable, not a single-channel
                picture, of another size than the image, or has labels out of
                range. The message names the file.
        """
        path = results.get('seg_map_path')
        if path is None:
            return results
        raw = read_mask(path)
        expected = tuple(results.get('ori_shape', raw.shape)[:2])
        if raw.shape != expected:
            raise UserError(
                f'mask {path} is {_size(raw.shape)}, but its image '
                f'{results.get("img_path")} is {_size(expected)} '
                '(width x height): they must be of one size'
            )
        levels, places = _levels(raw)
        labels = self._mapped(levels, results)
        is_wrong = (labels >= self.num_classes) & (labels != self.ignored)
        if _take(is_wrong.astype(np.uint8), places).any():
            wrong = np.unique(levels[is_wrong][np.isin(levels[is_wrong], raw)])
            shown = ', '.join(map(str, wrong[:5]))
            more = ', ...' if wrong.size > 5 else ''
            first = 1 if results.get('reduce_zero_label') else 0
            last = self.num_classes - 1 + first
            raise UserError(
                f'mask {path} has the label(s) {shown}{more}: allowed are '
                f'{first} to {last} for the {self.num_classes} classes, and '
                + ('0 or ' if first else '')
                + f'{self.ignored} for pixels that do not count'
            )
        dtype = np.uint8 if self.ignored == IGNORED else np.uint16
        results['gt_seg_map'] = _take(labels.astype(dtype), places)
        results['seg_fields'].append('gt_seg_map')
        return results

    def _mapped(self, raw: np.ndarray, results: dict[str, Any]) -> np.ndarray:
        mask = raw.astype(np.int64)
        if results.get('reduce_zero_label'):
            void = (raw == 0) | (raw == self.ignored)
            mask = np.where(void, self.ignored, mask - 1)
        label_map = results.get('label_map')
        if label_map is not None:
            before = mask.copy()
            # A label that is no class of the data set must stay conspicuous
            # and not pass for one of fewer classes.
            mask[mask != self.ignored] = np.iinfo(np.int64).max
            for old, new in label_map.items():
                mask[before == old] = new
        return mask

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_classes={self.num_classes})'


def _size(shape: tuple) -> str:
    return f'{shape[1]} x {shape[0]}'


def _levels(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all values that a mask may have, and each pixel's index.

    A value is mapped and checked once, and not for each of its pixels.
    """
    if raw.dtype == np.uint8:
        return np.arange(256), raw
    levels, places = np.unique(raw, return_inverse=True)
    return levels, places.reshape(raw.shape)


def _take(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    if places.dtype == table.dtype == np.uint8:
        return cv2.LUT(places, table)
    return table[places]
