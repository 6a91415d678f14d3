"""Transforms of an image, its 2D and 3D boxes and its camera together.

One rule holds for all of them: projecting the transformed boxes with the
transformed camera gives the transformed projections. A change of the image
``pixel' = A pixel`` is therefore put into the camera as ``A @ cam2img``, with
all four columns, and never approximated by a change of the principal point.

Pixels count from their centers: a flip maps column u to ``width - 1 - u``,
and a resize by s to ``s * u + (s - 1) / 2``, see
:mod:`lvt_dense.structures.pixels`. Padding on the right and at the bottom
changes neither boxes nor camera, so MMDetection's ``Pad`` and the padding of
its data preprocessor serve as they are; so does its
``PhotoMetricDistortion``.
"""

import math
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, to_tensor
from mmcv.transforms.utils import cache_randomness
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from lvt_dense.datasets.kitti.labels import find_calib, read_calib
from lvt_dense.registry import TRANSFORMS
from lvt_dense.structures import (
    flip_matrix,
    move_boxes,
    move_camera,
    resize_matrix,
    select_objects,
    shift_matrix,
    wrap_angle,
)
from lvt_dense.utils.errors import UserError

# Of each object; all are indexed alike when objects are dropped.
OBJECT_KEYS = (
    'gt_bboxes',
    'gt_bboxes_labels',
    'gt_bboxes_3d',
    'gt_alphas',
    'gt_truncated',
    'gt_occluded',
)


@TRANSFORMS.register_module()
class LoadAnnotations3D(BaseTransform):
    """Turn the instances of :class:`KittiMonoDataset` into arrays.

    Required keys: img, img_path, height, width, cam2img, instances.
    Added keys: gt_bboxes (N, 4), gt_bboxes_labels (N,), gt_bboxes_3d (N, 7),
    gt_alphas, gt_truncated, gt_occluded (N,), ori_cam2img (4, 4).

    An image that is only to be predicted has no instances, and gets its
    camera alone: from the key cam2img, or from a calibration file as KITTI
    has it beside its images, or else from the argument.

    Args:
        cam2img: (3 or 4, 4) projection matrix for images that come without
            one, such as arrays given to MMDetection's ``DetInferencer``.

    Raises:
        UserError: The image has another size than its annotations are for,
            or there is no camera.
    """

    def __init__(self, cam2img: Any = None) -> None:
        self.cam2img = cam2img

    def transform(self, results: dict) -> dict:
        """Load annotations and camera, or the camera alone."""
        if 'instances' in results:
            _check_size(results)
            results.update(_gather_objects(results['instances']))
        else:
            _name_image(results)
        if 'cam2img' not in results:
            results['cam2img'] = self._find_camera(results)
        camera = np.eye(4)
        matrix = np.asarray(results['cam2img'], dtype=np.float64)
        camera[: len(matrix)] = matrix
        results['cam2img'] = camera
        results['ori_cam2img'] = camera.copy()
        return results

    def _find_camera(self, results: dict) -> Any:
        path = results.get('img_path')
        if path is None and self.cam2img is None:
            raise UserError(
                'detection in 3D needs the camera, and an array brings none: '
                'give the path of an image that has a calibration file, or '
                'set cam2img of LoadAnnotations3D in the test pipeline'
            )
        try:
            return read_calib(find_calib(path)) if path else self.cam2img
        except UserError:
            if self.cam2img is None:
                raise
            return self.cam2img


def _check_size(results: dict) -> None:
    height, width = results['img'].shape[:2]
    if (height, width) != (results['height'], results['width']):
        raise UserError(
            f'{results["img_path"]} has {width} x {height} pixels, but its '
            f'annotations are for {results["width"]} x {results["height"]}; '
            'put back the original image, and use Resize3D to train at '
            'another size'
        )


def _gather_objects(items: list[dict]) -> dict[str, np.ndarray]:
    def gather(key: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        values = [item[key] for item in items]
        return np.array(values, dtype=dtype).reshape(shape)

    return dict(
        gt_bboxes=gather('bbox', (-1, 4), np.float32),
        gt_bboxes_labels=gather('bbox_label', (-1,), np.int64),
        gt_bboxes_3d=gather('bbox_3d', (-1, 7), np.float32),
        gt_alphas=gather('alpha', (-1,), np.float32),
        gt_truncated=gather('truncated', (-1,), np.float32),
        gt_occluded=gather('occluded', (-1,), np.int64),
    )


def _name_image(results: dict) -> None:
    """Add what a data set would have said of a lone image."""
    height, width = results['img'].shape[:2]
    results.setdefault('height', height)
    results.setdefault('width', width)
    path = results.get('img_path')
    name = Path(path).stem if path else str(results.get('img_id', 0))
    results.setdefault('sample_idx', name)


@TRANSFORMS.register_module()
class FilterObjects3D(BaseTransform):
    """Drop objects that are too hard to learn from.

    MonoCon and its kin do so before any augmentation. The defaults keep
    13,445 of the 17,298 pedestrians, cyclists and cars of KITTI's train
    split.

    Args:
        min_height: Smallest height of the 2D box in pixels.
        depth_range: Nearest and farthest z in meters.
        max_truncation: Largest share of the object outside the image.
        max_occlusion: Largest of KITTI's levels: 0 fully visible, 1 partly
            occluded, 2 largely occluded, 3 unknown.
    """

    def __init__(
        self,
        min_height: float = 25.0,
        depth_range: tuple[float, float] = (2.0, 65.0),
        max_truncation: float = 0.5,
        max_occlusion: int = 2,
    ) -> None:
        self.limits: dict[str, Any] = dict(
            min_height=min_height,
            depth_range=tuple(depth_range),
            max_truncation=max_truncation,
            max_occlusion=max_occlusion,
        )

    def transform(self, results: dict) -> dict:
        """Drop objects; the image stays as it is."""
        keep = select_objects(
            results['gt_bboxes'],
            results['gt_bboxes_3d'],
            results['gt_truncated'],
            results['gt_occluded'],
            **self.limits,
        )
        for key in OBJECT_KEYS:
            results[key] = results[key][keep]
        return results


@TRANSFORMS.register_module()
class RandomFlip3D(BaseTransform):
    """Mirror image, boxes and camera left to right.

    In space x turns to -x and the yaw to pi - yaw. The camera becomes
    ``M P diag(-1, 1, 1, 1)`` with M the mirroring of pixels, in which cx is
    ``width - 1 - cx``.

    Args:
        prob: Chance of a flip.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    @cache_randomness
    def _flips(self) -> bool:
        return np.random.rand() < self.prob

    def transform(self, results: dict) -> dict:
        """Mirror, or leave everything as it is."""
        results['flip'] = self._flips()
        results['flip_direction'] = 'horizontal' if results['flip'] else None
        if not results['flip']:
            return results
        results['img'] = mmcv.imflip(results['img'], direction='horizontal')
        mirror = flip_matrix(results['img'].shape[1])
        results['cam2img'] = move_camera(results['cam2img'], mirror)
        results['cam2img'][:, 0] *= -1
        results['gt_bboxes'] = move_boxes(results['gt_bboxes'], mirror)
        boxes_3d = results['gt_bboxes_3d'].copy()
        boxes_3d[:, 0] *= -1
        boxes_3d[:, 6] = wrap_angle(math.pi - boxes_3d[:, 6])
        results['gt_bboxes_3d'] = boxes_3d
        results['gt_alphas'] = wrap_angle(math.pi - results['gt_alphas'])
        return results


@TRANSFORMS.register_module()
class RandomShift3D(BaseTransform):
    """Shift the image within its frame, and the camera with it.

    What moves in from outside is black. 2D boxes are clipped to the image,
    their truncation grows by the part cut off, and objects left with less
    than a pixel are dropped.

    Args:
        prob: Chance of a shift.
        max_shift: Largest shift in pixels, in x and y, in both directions.
    """

    def __init__(self, prob: float = 0.5, max_shift: int = 32) -> None:
        self.prob = prob
        self.max_shift = max_shift

    @cache_randomness
    def _shift(self) -> tuple[int, int] | None:
        if np.random.rand() >= self.prob:
            return None
        dx, dy = np.random.randint(-self.max_shift, self.max_shift + 1, 2)
        return int(dx), int(dy)

    def transform(self, results: dict) -> dict:
        """Shift, or leave everything as it is."""
        shift = self._shift()
        if shift is None:
            return results
        image = results['img']
        return _cut_window(results, (-shift[0], -shift[1]), image.shape[:2])


@TRANSFORMS.register_module()
class RandomCrop3D(BaseTransform):
    """Cut a window out of the image, and move the camera with it.

    Boxes are clipped and dropped as in :class:`RandomShift3D`.

    Args:
        crop_size: Width and height of the window in pixels. A side longer
            than the image's becomes the image's.
    """

    def __init__(self, crop_size: tuple[int, int]) -> None:
        self.crop_size = crop_size

    @cache_randomness
    def _place(self, spare: tuple[int, int]) -> tuple[int, int]:
        left, top = np.random.randint(0, np.array(spare) + 1)
        return int(left), int(top)

    def transform(self, results: dict) -> dict:
        """Cut a window at a random place."""
        height, width = results['img'].shape[:2]
        new_width = min(self.crop_size[0], width)
        new_height = min(self.crop_size[1], height)
        corner = self._place((width - new_width, height - new_height))
        return _cut_window(results, corner, (new_height, new_width))


@TRANSFORMS.register_module()
class Resize3D(BaseTransform):
    """Resize the image, and move 2D boxes and the camera with it.

    Depth and 3D boxes stay metric: a resized image is what a camera of
    another focal length sees.

    Args:
        scale: Width and height in pixels.
        keep_ratio: Whether to fit the image into the scale as a whole, with
            equal factors, instead of stretching it.
    """

    def __init__(
        self, scale: tuple[int, int], keep_ratio: bool = True
    ) -> None:
        self.scale = tuple(scale)
        self.keep_ratio = keep_ratio

    def transform(self, results: dict) -> dict:
        """Resize."""
        height, width = results['img'].shape[:2]
        resize = mmcv.imrescale if self.keep_ratio else mmcv.imresize
        results['img'] = resize(results['img'], self.scale)
        new_height, new_width = results['img'].shape[:2]
        factors = new_width / width, new_height / height
        before = results.get('scale_factor', (1.0, 1.0))
        results['scale_factor'] = (
            before[0] * factors[0],
            before[1] * factors[1],
        )
        results['img_shape'] = new_height, new_width
        results['keep_ratio'] = self.keep_ratio
        pixel_map = resize_matrix(*factors)
        results['cam2img'] = move_camera(results['cam2img'], pixel_map)
        # An image that is only to be predicted has none.
        if 'gt_bboxes' in results:
            results['gt_bboxes'] = move_boxes(results['gt_bboxes'], pixel_map)
        return results


@TRANSFORMS.register_module()
class Pack3DInputs(BaseTransform):
    """Pack an image and its annotations for a monocular 3D detector.

    The result has ``inputs``, a (3, H, W) tensor, and ``data_samples``, a
    DetDataSample with gt_instances (bboxes, labels) and gt_instances_3d
    (bboxes_3d, labels_3d, bboxes, alphas, truncated, occluded).

    Args:
        meta_keys: What of the rest goes into the sample's metainfo, as far
            as it is there.
    """

    def __init__(
        self,
        meta_keys: tuple[str, ...] = (
            'sample_idx',
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'cam2img',
            'ori_cam2img',
            'eval_labels',
        ),
    ) -> None:
        self.meta_keys = meta_keys

    def transform(self, results: dict) -> dict:
        """Pack."""
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        sample = DetDataSample()
        meta = {'flip': False, 'scale_factor': (1.0, 1.0), **results}
        sample.set_metainfo({k: meta[k] for k in self.meta_keys if k in meta})
        if 'gt_bboxes_3d' in results:
            truth = {key: to_tensor(results[key]) for key in OBJECT_KEYS}
            sample.gt_instances = InstanceData(
                bboxes=truth['gt_bboxes'], labels=truth['gt_bboxes_labels']
            )
            sample.gt_instances_3d = InstanceData(
                bboxes_3d=truth['gt_bboxes_3d'],
                labels_3d=truth['gt_bboxes_labels'],
                bboxes=truth['gt_bboxes'],
                alphas=truth['gt_alphas'],
                truncated=truth['gt_truncated'],
                occluded=truth['gt_occluded'],
            )
        return dict(inputs=torch.from_numpy(image), data_samples=sample)


def _cut_window(
    results: dict, corner: tuple[int, int], size: tuple[int, int]
) -> dict:
    """Cut out the part of an image in a window that may reach beyond it.

    Args:
        results: Of the pipeline, changed in place.
        corner: Left and top of the window in pixels of the image.
        size: Height and width of the window.
    """
    left, top = corner
    height, width = size
    image = results['img']
    window = np.zeros((height, width, *image.shape[2:]), image.dtype)
    rows = slice(max(top, 0), min(top + height, image.shape[0]))
    columns = slice(max(left, 0), min(left + width, image.shape[1]))
    part = image[rows, columns]
    y, x = rows.start - top, columns.start - left
    window[y : y + part.shape[0], x : x + part.shape[1]] = part
    results['img'] = window
    results['img_shape'] = size
    pixel_map = shift_matrix(-left, -top)
    results['cam2img'] = move_camera(results['cam2img'], pixel_map)
    _clip_objects(results, move_boxes(results['gt_bboxes'], pixel_map), size)
    return results


def _clip_objects(
    results: dict, boxes: np.ndarray, size: tuple[int, int]
) -> None:
    """Clip moved 2D boxes to an image, and drop objects that left it."""
    height, width = size
    limit = np.array((width, height, width, height), dtype=np.float32) - 1
    clipped = boxes.clip(0, limit)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept_area = (clipped[:, 2:] - clipped[:, :2]).prod(1)
    visible = (clipped[:, 2:] - clipped[:, :2] >= 1).all(1)
    results['gt_bboxes'] = clipped
    share = kept_area / np.maximum(area, 1e-6)
    # Unknown is -1.
    truncated = results['gt_truncated'].clip(min=0)
    results['gt_truncated'] = 1 - (1 - truncated) * share
    for key in OBJECT_KEYS:
        results[key] = results[key][visible]
