"""MMSegmentation's random crop, with classes counted and not sorted."""

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import RandomCrop as MMSegRandomCrop

from lvt_dense.registry import TRANSFORMS


@TRANSFORMS.register_module(name='SegRandomCrop')
class SegRandomCrop(MMSegRandomCrop):
    """Crop as MMSegmentation's ``RandomCrop`` does.

    The random numbers and the crops are those of MMSegmentation.

    Args:
        **kwargs: Arguments of MMSegmentation's ``RandomCrop``.
    """

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Draw up to eleven crops, until no class fills one.

        Returns:
            Top, bottom, left and right in pixels.
        """
        size = results['img'].shape[:2]
        crop = self._draw(size)
        if self.cat_max_ratio < 1:
            for _ in range(10):
                counts = _count(self.crop(results['gt_seg_map'], crop))
                if self.ignore_index < len(counts):
                    counts[self.ignore_index] = 0
                if np.count_nonzero(counts) > 1 and (
                    counts.max() / counts.sum() < self.cat_max_ratio
                ):
                    break
                crop = self._draw(size)
        return crop

    def _draw(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        margins = (max(a - b, 0) for a, b in zip(size, self.crop_size))
        top, left = (np.random.randint(0, margin + 1) for margin in margins)
        height, width = self.crop_size
        return top, top + height, left, left + width


def _count(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each label."""
    if labels.dtype != np.uint8:
        return np.bincount(labels.ravel())
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256])
    return counts.ravel().astype(np.int64)
