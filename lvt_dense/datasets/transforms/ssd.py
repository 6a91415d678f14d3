"""Crops and colors of the SSDLite of the MobileViT paper (ml-cvnets v0.1).

MMDetection's transforms of the same purpose differ: its crop asks all boxes
for the drawn overlap where this one asks the best box, and its colors are
those of a picture whose values are never rounded.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from lvt_dense.registry import TRANSFORMS

from .cut import centers_in_crop, cut_annotations

WHOLE = 0.0


@TRANSFORMS.register_module()
class SSDBestBoxCrop(BaseTransform):
    """Crop an image so that its best box overlaps the crop enough.

    An overlap is drawn, and crops are drawn until one has a box with at least
    that IoU and holds the center of a box; after ``num_trials`` failures,
    another overlap is drawn. One of the overlaps stands for the whole image:
    about 35 % of COCO's images are not cropped. Boxes whose center lies
    outside are dropped, the others clipped. An image without boxes stays as
    it is.

    Args:
        min_ious: Overlaps to draw from; 0 keeps the whole image.
        num_trials: Crops that are tried for one overlap.
        min_side: Least side of a crop as a share of the image's.
        aspect_ratios: Range of height over width, both in pixels.
    """

    def __init__(
        self,
        min_ious: Sequence[float] = (WHOLE, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        num_trials: int = 40,
        min_side: float = 0.3,
        aspect_ratios: tuple[float, float] = (0.5, 2.0),
    ) -> None:
        if WHOLE not in min_ious:
            raise ValueError(
                f'min_ious={tuple(min_ious)} needs a 0, the whole image: an '
                'overlap that no crop reaches would be tried for ever'
            )
        self.min_ious = tuple(min_ious)
        self.num_trials = num_trials
        self.min_side = min_side
        self.aspect_ratios = tuple(aspect_ratios)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop ``img`` and what belongs to its boxes.

        Args:
            results: ``img`` (H, W, 3), and ``gt_bboxes`` in pixels, xyxy,
                with ``gt_bboxes_labels``, ``gt_ignore_flags`` and
                ``gt_masks`` where these are there.

        Returns:
            ``results`` with the part inside the crop.
        """
        boxes = results['gt_bboxes'].numpy()
        counts = ~np.asarray(
            results.get('gt_ignore_flags', np.zeros(len(boxes), bool))
        )
        if not counts.any():
            return results
        crop = self._draw(results['img'].shape[:2], boxes, boxes[counts])
        if crop is None:
            return results
        left, top, right, bottom = crop.tolist()
        results['img'] = results['img'][top:bottom, left:right]
        results['img_shape'] = results['img'].shape[:2]
        kept = centers_in_crop(boxes, crop)
        return cut_annotations(results, crop, kept)

    def _draw(
        self, size: tuple[int, int], boxes: np.ndarray, counted: np.ndarray
    ) -> np.ndarray | None:
        """Draw a crop, xyxy in whole pixels; None is the whole image."""
        height, width = size
        low, high = self.aspect_ratios
        while True:
            min_iou = np.random.choice(self.min_ious)
            if min_iou == WHOLE:
                return None
            for _ in range(self.num_trials):
                w = np.random.uniform(self.min_side * width, width)
                h = np.random.uniform(self.min_side * height, height)
                if not low <= h / w <= high:
                    continue
                left = np.random.uniform(0, width - w)
                top = np.random.uniform(0, height - h)
                crop = np.array(
                    [int(left), int(top), int(left + w), int(top + h)]
                )
                if _ious(counted, crop).max() < min_iou:
                    continue
                if centers_in_crop(counted, crop).any():
                    return crop

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(min_ious={self.min_ious}, '
            f'num_trials={self.num_trials}, min_side={self.min_side}, '
            f'aspect_ratios={self.aspect_ratios})'
        )


def _ious(boxes: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """Compute the IoU of every box (N, 4) with a crop (4,)."""
    sides = np.minimum(boxes[:, 2:], crop[2:])
    sides = (sides - np.maximum(boxes[:, :2], crop[:2])).clip(min=0)
    inside = sides.prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return inside / (areas + (crop[2:] - crop[:2]).prod() - inside)


@TRANSFORMS.register_module()
class SSDColorJitter(BaseTransform):
    """Distort the colors of an 8-bit BGR image.

    In this order: contrast, brightness, saturation, hue, contrast if it was
    not changed before (so that it changes in 3 of 4 images), and the order of
    the channels. Values are rounded down and clipped to 0 ... 255 after each
    color space. Hue is not wrapped around, but clipped at 0 as well, as in
    the original.

    Args:
        brightness: Largest shift, as a share of 255.
        contrast: Range of the factor.
        saturation: Range of the factor.
        hue: Largest shift in degrees. OpenCV's 8-bit hue counts two degrees a
            unit; shifts are rounded toward 0.
        prob: Probability of each change.
    """

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: float = 25.5,
        prob: float = 0.5,
    ) -> None:
        self.brightness = brightness
        self.contrast = contrast[0], contrast[1]
        self.saturation = saturation[0], saturation[1]
        self.hue = hue
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Distort ``img``, (H, W, 3), uint8.

        Returns:
            ``results`` with another ``img`` of the same shape and type.
        """
        does = np.random.rand(6) < self.prob
        image = results['img'].astype(np.float32)
        if does[0]:
            image *= np.random.uniform(*self.contrast)
        if does[1]:
            shift = np.random.uniform(-self.brightness, self.brightness)
            image += shift * 255
        image = _to_bytes(image)
        if does[2] or does[3]:
            image = self._distort_hsv(image, does[2], does[3])
        if does[4] and not does[0]:
            factor = np.random.uniform(*self.contrast)
            image = _to_bytes(image.astype(np.float32) * factor)
        if does[5]:
            image = image[..., np.random.permutation(3)]
        results['img'] = np.ascontiguousarray(image)
        return results

    def _distort_hsv(
        self, image: np.ndarray, saturation: bool, hue: bool
    ) -> np.ndarray:
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.float32)
        if saturation:
            hsv[..., 1] *= np.random.uniform(*self.saturation)
        if hue:
            hsv[..., 0] += int(np.random.uniform(-self.hue, self.hue) / 2)
        return cv2.cvtColor(_to_bytes(hsv), cv2.COLOR_HSV2BGR)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(brightness={self.brightness}, '
            f'contrast={self.contrast}, saturation={self.saturation}, '
            f'hue={self.hue}, prob={self.prob})'
        )


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return image.clip(0, 255).astype(np.uint8)
