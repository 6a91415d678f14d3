"""Assignment of points image by image, in its plain form."""

import math

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from lvt_dense.models.mono3d.fcos3d_coder import Points
from lvt_dense.structures import geometric_centers, project_points


def assign_points(points: Points, gt: InstanceData, cam2img: Tensor) -> Tensor:
    """Assign to every point (P,) the object it stands for, -1 for none.

    A point stands for the object whose projected 3D center is nearest,
    among those no farther than 1.5 strides in x and y and of an extent that
    is the level's: the largest distance from the point to a side of the 2D
    box.

    Args:
        points: Points of the image.
        gt: ``bboxes_3d`` (M, 7) and ``bboxes`` (M, 4) as xyxy in pixels.
        cam2img: (4, 4).
    """
    if len(gt) == 0:
        return points.stride.new_full((len(points.xy),), -1, dtype=torch.long)
    center = project_points(geometric_centers(gt.bboxes_3d), cam2img)
    delta = points.xy[:, None] - center[:, :2]
    near = delta.abs().amax(-1) < 1.5 * points.stride[:, None]
    sides = torch.cat(
        (points.xy[:, None] - gt.bboxes[:, :2],
         gt.bboxes[:, 2:] - points.xy[:, None]), -1
    )  # fmt: skip
    extent = sides.amax(-1)
    fits = (extent >= points.low[:, None]) & (extent <= points.high[:, None])
    distance = delta.norm(dim=-1).masked_fill(~(near & fits), math.inf)
    nearest, index = distance.min(1)
    return index.masked_fill(nearest.isinf(), -1)
