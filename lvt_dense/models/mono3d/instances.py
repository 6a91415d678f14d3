"""Steps before and after the maps that all heads share."""

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor


def select_objects(
    gt: InstanceData,
    image_shape: Sequence[int],
    min_height: float = 25.0,
    depth_range: tuple[float, float] = (2.0, 65.0),
    max_truncation: float = 0.5,
    max_occlusion: int = 2,
) -> Tensor:
    """Which objects are worth learning from.

    Args:
        gt: ``bboxes_3d``, ``bboxes``, ``truncated`` and ``occluded`` of one
            image.
        image_shape: height and width in pixels; the centre of the 2D box
            has to lie inside.
        min_height: of the 2D box, in pixels of the network's image.
        depth_range: nearest and farthest z, in metres.
        max_truncation: share of the object outside the image, 0 to 1.
        max_occlusion: KITTI's level: 0 fully visible, 1 partly occluded,
            2 largely occluded, 3 unknown.

    Returns:
        (M,) bool.
    """
    x1, y1, x2, y2 = gt.bboxes.unbind(-1)
    z = gt.bboxes_3d[:, 2]
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    inside = (x >= 0) & (y >= 0) & (x < image_shape[1]) & (y < image_shape[0])
    return (
        inside
        & (y2 - y1 >= min_height)
        & (z >= depth_range[0])
        & (z <= depth_range[1])
        & (gt.truncated <= max_truncation)
        & (gt.occluded <= max_occlusion)
    )


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
