"""Flip images to arrays that lie in memory as they are read."""

from typing import Any

import cv2
from mmdet.datasets.transforms import RandomFlip as MMDetRandomFlip

from lvt_dense.registry import TRANSFORMS

CODES = dict(horizontal=1, vertical=0, diagonal=-1)


@TRANSFORMS.register_module()
class RandomFlip(MMDetRandomFlip):
    """Flip as MMDetection does, but write the flipped image.

    MMDetection returns a view with a negative stride, which every transform
    after it copies element by element.

    Args:
        **kwargs: Arguments of MMDetection's ``RandomFlip``.
    """

    def _flip(self, results: dict[str, Any]) -> None:
        image = results['img']
        super()._flip(results)
        results['img'] = cv2.flip(image, CODES[results['flip_direction']])
