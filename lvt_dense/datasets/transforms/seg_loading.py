"""Loading of semantic masks, with a say on those that cannot be right."""

import io
from typing import Any

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, UnidentifiedImageError

from lvt_dense.errors import UserError
from lvt_dense.registry import TRANSFORMS

IGNORED = 255


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
            and 255 where nothing counts.
    """

    needs_annotations = True

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load ``results['seg_map_path']``.

        The keys ``reduce_zero_label`` and ``label_map`` of the data set
        apply as in mmseg.

        Returns:
            ``results`` with ``gt_seg_map``, (H, W), uint8.

        Raises:
            UserError: The mask is missing, unreadable, not a single-channel
                picture, of another size than the image, or has labels out of
                range. The message names the file.
        """
        path = results['seg_map_path']
        raw = _read(path)
        expected = tuple(results.get('ori_shape', raw.shape)[:2])
        if raw.shape != expected:
            raise UserError(
                f'mask {path} is {_size(raw.shape)}, but its image '
                f'{results.get("img_path")} is {_size(expected)} '
                '(width x height): they must be of one size'
            )
        mask = self._mapped(raw, results)
        wrong = np.unique(raw[(mask >= self.num_classes) & (mask != IGNORED)])
        if wrong.size:
            shown = ', '.join(map(str, wrong[:5]))
            more = ', ...' if wrong.size > 5 else ''
            first = 1 if results.get('reduce_zero_label') else 0
            last = self.num_classes - 1 + first
            raise UserError(
                f'mask {path} has the label(s) {shown}{more}: allowed are '
                f'{first} to {last} for the {self.num_classes} classes, and '
                + ('0 or ' if first else '')
                + f'{IGNORED} for pixels that do not count'
            )
        results['gt_seg_map'] = mask.astype(np.uint8)
        results['seg_fields'].append('gt_seg_map')
        return results

    def _mapped(self, raw: np.ndarray, results: dict[str, Any]) -> np.ndarray:
        mask = raw.astype(np.int64)
        if results.get('reduce_zero_label'):
            mask = np.where((raw == 0) | (raw == IGNORED), IGNORED, mask - 1)
        label_map = results.get('label_map')
        if label_map is not None:
            before = mask.copy()
            # A label that is no class of the data set must stay conspicuous
            # and not pass for one of fewer classes.
            mask[mask != IGNORED] = np.iinfo(np.int64).max
            for old, new in label_map.items():
                mask[before == old] = new
        return mask

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_classes={self.num_classes})'


def _read(path: str) -> np.ndarray:
    """Labels of a picture, (H, W); of one with a palette, its indices."""
    try:
        with Image.open(io.BytesIO(fileio.get(path))) as picture:
            raw = np.array(picture)
    except FileNotFoundError as error:
        raise UserError(f'mask {path} is not there') from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f'mask {path} is empty or corrupt: replace it'
        ) from error
    if raw.ndim != 2:
        raise UserError(
            f'mask {path} has {raw.shape[2]} channels: a mask has one, whose '
            'values are labels and not colours'
        )
    return raw


def _size(shape: tuple) -> str:
    return f'{shape[1]} x {shape[0]}'
