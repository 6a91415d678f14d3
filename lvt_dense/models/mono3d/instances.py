"""Steps before and after the maps that all heads share."""

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor


def stack_cameras(metas: Sequence[dict], like: Tensor) -> Tensor:
    """Stack the projection matrices (N, 4, 4) of images.

    Args:
        metas: ``cam2img`` of every image.
        like: Tensor whose type and device the matrices get.
    """
    cameras = [
        torch.as_tensor(meta['cam2img'], dtype=like.dtype) for meta in metas
    ]
    return torch.stack(cameras).to(like.device)


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
