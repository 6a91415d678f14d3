"""Steps before and after the maps that all heads share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor


def stack_cameras(metas: Sequence[dict], like: Tensor) -> Tensor:
    """Stack the projection matrices (N, 4, 4) of images.

    Args:
        metas: ``cam2img`` of every image.
        like: Tensor whose type and device the matrices get.
    """
    cameras = np.stack([np.asarray(meta['cam2img']) for meta in metas])
    found = torch.from_numpy(cameras).to(like.dtype)
    return found.to(like.device, non_blocking=True)


class Objects(NamedTuple):
    """The M objects of a batch, one image after the other."""

    bboxes_3d: Tensor
    """(M, 7), see :mod:`lvt_dense.structures.boxes_3d`."""
    bboxes: Tensor
    """(M, 4) as xyxy in pixels."""
    labels_3d: Tensor
    """(M,) classes."""
    image: Tensor
    """(M,) image in the batch."""


def join_objects(gts: Sequence[InstanceData]) -> Objects:
    """Join the objects of all images."""
    labels = torch.cat([gt.labels_3d for gt in gts])
    rows = [i for i, gt in enumerate(gts) for _ in range(len(gt))]
    image = torch.tensor(rows, dtype=torch.long)
    return Objects(
        torch.cat([gt.bboxes_3d for gt in gts]),
        torch.cat([gt.bboxes for gt in gts]),
        labels,
        image.to(labels.device, non_blocking=True),
    )


def finish_boxes(
    found: InstanceData, meta: dict, rescale: bool
) -> InstanceData:
    """Clip 2D boxes to the image, in its own pixels or the original ones.

    Args:
        found: ``bboxes`` (M, 4) as xyxy in pixels of the network's image,
            replaced in place.
        meta: ``img_shape`` as (height, width); where the image was resized,
            ``scale_factor`` as (width's, height's) and ``ori_shape``.
        rescale: Whether to give the boxes in pixels of the original image,
            see :func:`lvt_dense.structures.resize_matrix`.
    """
    boxes, shape = found.bboxes, meta['img_shape']
    if rescale and 'scale_factor' in meta:
        scale = boxes.new_tensor(meta['scale_factor']).repeat(2)
        boxes = (boxes - (scale - 1) / 2) / scale
        shape = meta['ori_shape']
    height, width = shape[:2]
    limit = boxes.new_tensor((width, height, width, height)) - 1
    found.bboxes = torch.minimum(boxes.clamp(min=0), limit)
    return found
