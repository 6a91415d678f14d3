"""The last step of prediction, which the heads share."""

from typing import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor


def stack_cameras(metas: Sequence[dict], like: Tensor) -> Tensor:
    """Projection matrices (N, 4, 4) of images, where ``like`` lives."""
    cameras = [
        torch.as_tensor(meta['cam2img'], dtype=like.dtype) for meta in metas
    ]
    return torch.stack(cameras).to(like.device)


def finish_boxes(
    found: InstanceData, meta: dict, rescale: bool
) -> InstanceData:
    """Clips 2D boxes to the image, and scales them to the original one.

    Args:
        found: ``bboxes`` (M, 4) as xyxy in pixels of the network's image,
            replaced in place.
        meta: ``img_shape`` as (height, width), and ``scale_factor`` as
            (width's, height's) where the image was resized.
        rescale: give the boxes in pixels of the original image.
    """
    height, width = meta['img_shape'][:2]
    limit = found.bboxes.new_tensor((width, height, width, height)) - 1
    boxes = torch.minimum(found.bboxes.clamp(min=0), limit)
    if rescale and 'scale_factor' in meta:
        boxes = boxes / boxes.new_tensor(meta['scale_factor']).repeat(2)
    found.bboxes = boxes
    return found
