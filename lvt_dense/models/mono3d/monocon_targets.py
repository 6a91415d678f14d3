"""What a MonoCon head should predict for a batch of labeled images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from .instances import join_objects
from .monocon_coder import NUM_KEYPOINTS, EncodedObjects, encode_objects

# Smallest IoU of a box that is moved within the radius of its Gaussian.
_MIN_OVERLAP = 0.3
# Values of Gaussians that are computed at once: 64 MiB.
_MAX_VALUES = 2**24


class MonoConTargets(NamedTuple):
    """Targets of a batch of N images with M objects in all.

    Rows that do not count may hold anything, cells inside the map apart.
    """

    heatmap: Tensor
    """(N, classes, H, W), a Gaussian around every object's cell."""
    keypoint_heatmap: Tensor
    """(N, 9, H, W), a Gaussian around every keypoint's cell."""
    image: Tensor
    """(M,) which image of the batch an object is in."""
    objects: EncodedObjects
    counts: Tensor
    """(M,) whether an object is learned from."""
    keypoint_image: Tensor
    """(9 * M,) which image a keypoint is in."""
    keypoint_cell: Tensor
    """(9 * M, 2) integer column and row of a keypoint."""
    keypoint_offset: Tensor
    """(9 * M, 2) from that cell's corner to the keypoint, in [0, 1)."""
    keypoint_counts: Tensor
    """(9 * M,) whether a keypoint of such an object is inside the map."""


def build_targets(
    gts: Sequence[InstanceData],
    cam2img: Tensor,
    map_shape: Sequence[int],
    stride: int,
    num_classes: int,
    counts: Tensor | None = None,
) -> MonoConTargets:
    """Compute the targets of a batch, without waiting for a GPU.

    Args:
        gts: Objects of every image: ``bboxes_3d``, ``bboxes`` and
            ``labels_3d``.
        cam2img: (N, 4, 4).
        map_shape: H and W of the head's maps.
        stride: Pixels per cell.
        num_classes: Channels of the center heatmap.
        counts: (M,) which objects of all images are learned from; None for
            all.
    """
    joined = join_objects(gts)
    image = joined.image
    objects = encode_objects(joined, cam2img[image], stride)
    if counts is None:
        counts = torch.ones_like(image, dtype=torch.bool)
    limit = torch.tensor((map_shape[1], map_shape[0]), dtype=torch.long)
    limit = limit.to(image.device, non_blocking=True)
    cell = objects.cell.clamp(min=0).minimum(limit - 1)
    radii = torch.where(counts, gaussian_radii(objects.wh), -1)

    points = objects.keypoints + objects.cell[:, None]
    inside = counts[:, None] & objects.keypoint_valid
    inside = inside & ((points >= 0) & (points < limit)).all(-1)
    # Whatever does not count is moved to a corner.
    points = torch.where(inside[..., None], points, 0).flatten(0, 1)
    corner = points.floor()
    kind = torch.arange(NUM_KEYPOINTS, device=image.device)
    keypoint_image = image[:, None].expand_as(inside).flatten()
    size = (len(gts), map_shape[0], map_shape[1])
    return MonoConTargets(
        draw_gaussians(
            size, num_classes, image, joined.labels_3d, cell, radii
        ),
        draw_gaussians(
            size,
            NUM_KEYPOINTS,
            keypoint_image,
            kind.expand_as(inside).flatten(),
            corner,
            torch.where(inside, radii[:, None], -1).flatten(),
        ),
        image,
        objects._replace(cell=cell),
        counts,
        keypoint_image,
        corner.long(),
        points - corner,
        inside.flatten(),
    )


def gaussian_radii(wh: Tensor) -> Tensor:
    """Compute the radii (M,) of the Gaussians of boxes (M, 2).

    Those of MMDetection's ``gaussian_radius``, rounded down: the farthest
    that both corners of a box can move with an IoU of 0.3 left. In double
    precision, as it is in Python.

    Args:
        wh: Width and height in cells.
    """
    width, height = wh.double().unbind(1)
    total, area, iou = height + width, height * width, _MIN_OVERLAP

    def smaller_root(a: float, b: Tensor, c: Tensor) -> Tensor:
        return (b - (b.square() - 4 * a * c).sqrt()) / (2 * a)

    both = smaller_root(1, total, area * (1 - iou) / (1 + iou))
    inner = smaller_root(4, 2 * total, (1 - iou) * area)
    b = -2 * iou * total
    outer = b + (b.square() + 16 * iou * (1 - iou) * area).sqrt()
    outer = outer / (8 * iou)
    radius = torch.minimum(both, torch.minimum(inner, outer))
    return radius.nan_to_num(0).floor().clamp(min=0).to(wh.dtype)


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
        radius: (M,) integer-valued; -1 draws nothing.

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
    plane = (image * channels + channel)[:, None, None]
    step = max(1, _MAX_VALUES // (height * width))
    for start in range(0, len(plane), step):
        part = slice(start, start + step)
        bells = rows[part, :, None] * columns[part, None, :]
        out.scatter_reduce_(0, plane[part].expand_as(bells), bells, 'amax')
    return out.view(images, channels, height, width)
