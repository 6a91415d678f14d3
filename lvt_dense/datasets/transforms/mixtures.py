"""A faster form of MMDetection's cached mosaic and mixup.

The random numbers, the boxes and the pixels are those of MMDetection: a seed
gives the same sample.
"""

from typing import Any

import cv2
import mmcv
import numpy as np
from mmdet.datasets.transforms import CachedMixUp as MMDetCachedMixUp
from mmdet.datasets.transforms import CachedMosaic as MMDetCachedMosaic
from mmdet.structures.bbox import autocast_box_type

from lvt_dense.registry import TRANSFORMS

CORNERS = ('top_left', 'top_right', 'bottom_left', 'bottom_right')
LABELS = ('gt_bboxes_labels', 'gt_ignore_flags')


@TRANSFORMS.register_module()
class CachedMosaic(MMDetCachedMosaic):
    """Put four images into one as MMDetection's ``CachedMosaic`` does.

    An image is resized once, when it enters the cache, and not each time it
    is drawn; nothing is copied but the pixels that are seen. Samples with
    masks take MMDetection's own form.

    Args:
        **kwargs: Arguments of MMDetection's ``CachedMosaic``.
    """

    @autocast_box_type()
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix ``results`` with three images of the cache.

        Args:
            results: ``img`` (H, W, 3), ``gt_bboxes``, ``gt_bboxes_labels``
                and ``gt_ignore_flags``.

        Returns:
            ``results`` with an image of twice ``img_scale``; as they are
            until the cache holds more than four images.
        """
        if 'gt_masks' in results:
            return super().transform(results)
        part = self._fit(results)
        _remember(self, part)
        cache = self.results_cache
        if len(cache) <= 4 or np.random.uniform(0, 1) > self.prob:
            return results
        parts = [part, *(cache[i] for i in self.get_indexes(cache))]
        center = [
            int(np.random.uniform(*self.center_ratio_range) * side)
            for side in self.img_scale
        ]
        width, height = (int(2 * side) for side in self.img_scale)
        canvas = _canvas(results['img'], height, width, self.pad_val)
        boxes = []
        for corner, one in zip(CORNERS, parts):
            size = one['img'].shape[1::-1]
            paste, crop = self._mosaic_combine(corner, center, size)
            canvas[_slices(paste)] = one['img'][_slices(crop)]
            placed = one['gt_bboxes'].clone()
            placed.translate_([paste[0] - crop[0], paste[1] - crop[1]])
            boxes.append(placed)
        results['img'] = canvas
        results['img_shape'] = canvas.shape[:2]
        _join(results, boxes, parts, self.bbox_clip_border)
        return results

    def _fit(self, results: dict[str, Any]) -> dict[str, Any]:
        """Copy what a mosaic needs, at the size that it has there."""
        height, width = results['img'].shape[:2]
        scale = min(self.img_scale[1] / height, self.img_scale[0] / width)
        size = int(width * scale), int(height * scale)
        boxes = results['gt_bboxes'].clone()
        boxes.rescale_([scale, scale])
        return dict(
            img=mmcv.imresize(results['img'], size),
            gt_bboxes=boxes,
            **{key: results[key] for key in LABELS},
        )


@TRANSFORMS.register_module()
class CachedMixUp(MMDetCachedMixUp):
    """Average two images as MMDetection's ``CachedMixUp`` does.

    Pixels stay in 8 bits all the way, where MMDetection goes through 64.
    With a ``ratio_range`` other than 1 they may differ by one gray level.
    Samples with masks, or of other than 8-bit color images, take
    MMDetection's own form.

    Args:
        **kwargs: Arguments of MMDetection's ``CachedMixUp``.
    """

    @autocast_box_type()
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix ``results`` with an image of the cache.

        Args:
            results: ``img`` (H, W, 3), ``gt_bboxes``, ``gt_bboxes_labels``
                and ``gt_ignore_flags``.

        Returns:
            ``results``, mixed with probability ``prob``.
        """
        image = results['img']
        if 'gt_masks' in results or image.dtype != np.uint8 or image.ndim < 3:
            return super().transform(results)
        part = dict(
            img=image.copy(),
            gt_bboxes=results['gt_bboxes'].clone(),
            **{key: results[key] for key in LABELS},
        )
        _remember(self, part)
        cache = self.results_cache
        if len(cache) <= 1 or np.random.uniform(0, 1) > self.prob:
            return results
        other = cache[self.get_indexes(cache)]
        if not len(other['gt_bboxes']):
            return results
        picture, boxes = self._place(other, image.shape[:2])
        results['img'] = _average(image, picture)
        results['img_shape'] = image.shape[:2]
        pair = [results['gt_bboxes'], boxes]
        _join(results, pair, [part, other], clip=False)
        return results

    def _place(
        self, other: dict[str, Any], target: tuple[int, int]
    ) -> tuple[np.ndarray, Any]:
        """Resize, flip and shift an image to the size of another one."""
        jitter = np.random.uniform(*self.ratio_range)
        is_flipped = np.random.uniform(0, 1) > self.flip_ratio
        width, height = self.dynamic_scale
        h, w = other['img'].shape[:2]
        scale = min(height / h, width / w)
        size = int(w * scale), int(h * scale)
        picture = _pad(_resize(other['img'], size), height, width, self)
        picture = _resize(picture, (int(width * jitter), int(height * jitter)))
        boxes = other['gt_bboxes'].clone()
        boxes.rescale_([scale * jitter, scale * jitter])
        size = picture.shape[:2]
        if self.bbox_clip_border:
            boxes.clip_(size)
        if is_flipped:
            picture = cv2.flip(picture, 1)
            boxes.flip_(size, direction='horizontal')
        y, x = (
            np.random.randint(0, max(a - b, 0)) if a > b else 0
            for a, b in zip(size, target)
        )
        boxes.translate_([-x, -y])
        if self.bbox_clip_border:
            boxes.clip_(target)
        picture = picture[y : y + target[0], x : x + target[1]]
        return _pad(picture, *target, self), boxes


def _remember(transform: Any, part: dict[str, Any]) -> None:
    """Put an image into the cache; a full one loses another image."""
    cache = transform.results_cache
    cache.append(part)
    if len(cache) > transform.max_cached_images:
        is_random = transform.random_pop
        cache.pop(np.random.randint(0, len(cache) - 1) if is_random else 0)


def _join(
    results: dict[str, Any],
    boxes: list[Any],
    parts: list[dict[str, Any]],
    clip: bool,
) -> None:
    """Write the boxes of several images that lie inside of the new one."""
    size = results['img_shape']
    joined = boxes[0].cat(boxes, 0)
    if clip:
        joined.clip_(size)
    inside = joined.is_inside(size).numpy()
    results['gt_bboxes'] = joined[inside]
    for key in LABELS:
        results[key] = np.concatenate([p[key] for p in parts])[inside]


def _slices(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    x1, y1, x2, y2 = box
    return slice(y1, y2), slice(x1, x2)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    same = size == image.shape[1::-1]
    return image if same else mmcv.imresize(image, size)


def _canvas(
    like: np.ndarray, height: int, width: int, value: Any
) -> np.ndarray:
    """Return an image of one color; row by row, which is far faster."""
    canvas = np.empty((height, width, *like.shape[2:]), like.dtype)
    canvas[0] = value
    canvas[1:] = canvas[0]
    return canvas


def _pad(
    image: np.ndarray, height: int, width: int, transform: MMDetCachedMixUp
) -> np.ndarray:
    """Pad to the right and below."""
    if image.shape[:2] == (height, width):
        return image
    canvas = _canvas(image, height, width, transform.pad_val)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def _average(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Average 8-bit images, rounded down, without a wider type."""
    mean = a ^ b
    np.right_shift(mean, 1, out=mean)
    mean += a & b
    return mean
