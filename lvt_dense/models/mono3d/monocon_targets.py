"""What a MonoCon head should predict for a batch of labeled images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.utils.gaussian_target import gaussian_radius
from mmengine.structures import InstanceData
from torch import Tensor

from .monocon_coder import NUM_KEYPOINTS, EncodedObjects, encode_objects

# Smallest IoU of a box that is moved within the radius of its Gaussian.
_MIN_OVERLAP = 0.3


class MonoConTargets(NamedTuple):
    """Targets of a batch of N images with M objects in all."""

    heatmap: Tensor
    """(N, classes, H, W), a Gaussian around every object's cell."""
    keypoint_heatmap: Tensor
    """(N, 9, H, W), a Gaussian around every keypoint's cell."""
    image: Tensor
    """(M,) which image of the batch an object is in."""
    objects: EncodedObjects
    keypoint_image: Tensor
    """(K,) which image a keypoint is in that lies inside the map."""
    keypoint_cell: Tensor
    """(K, 2) integer column and row of such a keypoint."""
    keypoint_offset: Tensor
    """(K, 2) from that cell's corner to the keypoint, in [0, 1)."""


def build_targets(
    gts: Sequence[InstanceData],
    cam2img: Tensor,
    map_shape: Sequence[int],
    stride: int,
    num_classes: int,
) -> MonoConTargets:
    """Compute the targets of a batch.

    Args:
        gts: Objects to learn from of every image: ``bboxes_3d``,
            ``bboxes`` and ``labels_3d``.
        cam2img: (N, 4, 4).
        map_shape: H and W of the head's maps.
        stride: Pixels per cell.
        num_classes: Channels of the center heatmap.
    """
    parts = [encode_objects(gt, p2, stride) for gt, p2 in zip(gts, cam2img)]
    image = torch.cat(
        [gt.labels_3d.new_full((len(gt),), i) for i, gt in enumerate(gts)]
    )
    objects = EncodedObjects(*(torch.cat(column) for column in zip(*parts)))
    radii = objects.wh.new_tensor(
        [
            max(0, int(gaussian_radius((h, w), _MIN_OVERLAP)))
            for w, h in objects.wh.tolist()
        ]
    )

    points = objects.keypoints + objects.cell[:, None]
    limit = points.new_tensor((map_shape[1], map_shape[0]))
    inside = objects.keypoint_valid & ((points >= 0) & (points < limit)).all(
        -1
    )
    row, kind = inside.nonzero(as_tuple=True)
    points = points[inside]
    cell = points.floor()

    labels = torch.cat([gt.labels_3d for gt in gts])
    size = (len(gts), map_shape[0], map_shape[1])
    return MonoConTargets(
        draw_gaussians(size, num_classes, image, labels, objects.cell, radii),
        draw_gaussians(
            size, NUM_KEYPOINTS, image[row], kind, cell, radii[row]
        ),
        image,
        objects,
        image[row],
        cell.long(),
        points - cell,
    )


def draw_gaussians(
    size: tuple[int, int, int],
    channels: int,
    image: Tensor,
    channel: Tensor,
    cell: Tensor,
    radius: Tensor,
) -> Tensor:
    """Draw M Gaussians, the larger value winning where they meet.

    Each is 1 at its cell, has a standard deviation of (2 * radius + 1) / 6
    and is cut off beyond the radius in either direction.

    Args:
        size: Images N, height H and width W of the maps.
        channels: Number C of channels.
        image: (M,) integer in [0, N).
        channel: (M,) integer in [0, C).
        cell: (M, 2) column and row, integer-valued.
        radius: (M,) integer-valued.

    Returns:
        (N, C, H, W), zero where there is nothing.
    """
    images, height, width = size
    sigma = (2 * radius + 1) / 6

    def profile(length: int, center: Tensor) -> Tensor:
        position = torch.arange(length, device=radius.device)
        distance = (position - center[:, None]).to(sigma)
        bell = torch.exp(-distance.square() / (2 * sigma.square())[:, None])
        return bell * (distance.abs() <= radius[:, None])

    columns = profile(width, cell[:, 0])
    rows = profile(height, cell[:, 1])
    out = columns.new_zeros(images * channels, height, width)
    plane = image * channels + channel
    for index in plane.unique().tolist():
        mine = plane == index
        # The outer products of one plane at a time bound the memory.
        bells = rows[mine][:, :, None] * columns[mine][:, None, :]
        out[index] = bells.amax(0)
    return out.view(images, channels, height, width)
