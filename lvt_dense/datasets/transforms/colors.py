"""YOLOX's distortion of colors."""

from typing import Any

import cv2
import numpy as np
from mmdet.datasets.transforms import (
    YOLOXHSVRandomAug as MMDetYOLOXHSVRandomAug,
)

from lvt_dense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(MMDetYOLOXHSVRandomAug):
    """Shift hue, saturation and value as MMDetection does, by a table.

    The random numbers and the pixels are those of MMDetection.

    Args:
        **kwargs: Arguments of MMDetection's ``YOLOXHSVRandomAug``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Distort ``img``, (H, W, 3), uint8, BGR.

        Returns:
            ``results`` with another ``img``.
        """
        hue, saturation, value = self._get_hsv_gains().tolist()
        levels = np.arange(256)
        table = np.stack(
            [
                (levels + hue) % 180,
                (levels + saturation).clip(0, 255),
                (levels + value).clip(0, 255),
            ],
            axis=-1,
        )
        hsv = cv2.cvtColor(results['img'], cv2.COLOR_BGR2HSV)
        hsv = cv2.LUT(hsv, table[None].astype(np.uint8))
        results['img'] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=hsv)
        return results
