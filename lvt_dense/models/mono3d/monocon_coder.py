"""MonoCon's representation of objects: from boxes to cells and back.

One map of stride 4 carries everything. An object lives in the cell that
holds the center of its **2D** box; from there the map says where the center
of the 3D box projects to, how far away it is, how large, and seen at which
angle. Lengths in the image count in cells, lengths in space in meters.

Liu, Xue and Wu, "Learning Auxiliary Monocular Contexts Helps Monocular 3D
Object Detection", AAAI 2022.
"""

import math
from typing import NamedTuple

import torch
from mmdet.models.utils.gaussian_target import (
    get_local_maximum,
    get_topk_from_heatmap,
    transpose_and_gather_feat,
)
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from lvt_dense.structures import (
    alpha_to_yaw,
    boxes_to_corners,
    geometric_centers,
    project_points,
    unproject_points,
    wrap_angle,
    yaw_to_alpha,
)

from .instances import Objects

NUM_BINS = 12
NUM_KEYPOINTS = 9
CENTER_KEYPOINT = 8
_BIN_SIZE = 2 * math.pi / NUM_BINS


class EncodedObjects(NamedTuple):
    """What the maps should say about M objects."""

    cell: Tensor
    """(M, 2) integer column and row of the center of the 2D box."""
    offset: Tensor
    """(M, 2) from the cell's corner to that center, in [0, 1)."""
    wh: Tensor
    """(M, 2) width and height of the 2D box, in cells."""
    keypoints: Tensor
    """(M, 9, 2) from the cell to the 8 corners and the center, in cells."""
    keypoint_valid: Tensor
    """(M, 9) whether the keypoint lies in front of the camera."""
    dim: Tensor
    """(M, 3) length, height, width in meters."""
    depth: Tensor
    """(M,) depth of the center in meters."""
    angle_bin: Tensor
    """(M,) which of the 12 bins holds the observation angle."""
    angle_residual: Tensor
    """(M,) from the bin's center, in radians."""


def encode_alpha(alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bins 0..11 of angles, and residuals to their centers.

    Bin k is centered at k * 30 degrees.
    """
    turned = torch.remainder(alpha + _BIN_SIZE / 2, 2 * math.pi)
    # A tiny negative angle makes remainder round up to the modulus.
    bins = (turned / _BIN_SIZE).long().clamp(0, NUM_BINS - 1)
    return bins, turned - (bins + 0.5) * _BIN_SIZE


def decode_alpha_bins(logits: Tensor, residuals: Tensor) -> Tensor:
    """Compute angles (...) in [-pi, pi) from logits and residuals.

    Args:
        logits: (..., 12) of the bins.
        residuals: (..., 12) in radians.
    """
    bins = logits.argmax(-1, keepdim=True)
    residual = residuals.gather(-1, bins)
    return wrap_angle(bins * _BIN_SIZE + residual).squeeze(-1)


def encode_objects(
    gt: InstanceData | Objects, cam2img: Tensor, stride: int
) -> EncodedObjects:
    """Encode M objects.

    Args:
        gt: ``bboxes_3d`` (M, 7) and ``bboxes`` (M, 4) as xyxy in pixels.
        cam2img: (4, 4), or (M, 4, 4).
        stride: Pixels per cell.
    """
    boxes, boxes_2d = gt.bboxes_3d, gt.bboxes / stride
    center_2d = (boxes_2d[:, :2] + boxes_2d[:, 2:]) / 2
    cell = center_2d.floor()
    points = torch.cat(
        (boxes_to_corners(boxes), geometric_centers(boxes)[:, None]), 1
    )
    uvd = project_points(points, cam2img[..., None, :, :])
    center = uvd[:, CENTER_KEYPOINT]
    alpha = yaw_to_alpha(boxes[:, 6], center[:, 0], cam2img)
    return EncodedObjects(
        cell.long(),
        center_2d - cell,
        boxes_2d[:, 2:] - boxes_2d[:, :2],
        uvd[..., :2] / stride - cell[:, None],
        uvd[..., 2] > 0,
        boxes[:, 3:6],
        center[:, 2],
        *encode_alpha(alpha),
    )


def decode_maps(
    maps: dict[str, Tensor], cam2img: Tensor, stride: int, topk: int
) -> dict[str, Tensor]:
    """Decode the K highest peaks of every image.

    Args:
        maps: The head's output, see :meth:`MonoConHead.forward`.
        cam2img: (N, 4, 4).
        stride: Pixels per cell.
        topk: Number K.

    Returns:
        By name: ``scores_3d`` (N, K), the height of the peak divided by the
        standard deviation of the depth in meters, so possibly above 1;
        ``labels_3d`` (N, K); ``bboxes_3d`` (N, K, 7); ``bboxes`` (N, K, 4)
        as xyxy in pixels of the network's image; ``alphas`` (N, K).
    """
    peaks = get_local_maximum(maps['heatmap'])
    heights, index, labels, ys, xs = get_topk_from_heatmap(peaks, topk)
    cell = torch.stack((xs, ys.to(xs)), -1)

    def at_peaks(name: str) -> Tensor:
        return transpose_and_gather_feat(maps[name], index)

    depth, log_sigma = at_peaks('depth').unbind(-1)
    center = (
        cell + at_peaks('keypoints')[..., 2 * CENTER_KEYPOINT :]
    ) * stride
    camera = cam2img[:, None]
    xyz = unproject_points(torch.cat((center, depth[..., None]), -1), camera)
    # An untrained network may predict sizes that are none.
    dim = at_peaks('dim').clamp(min=0.01)
    alpha = decode_alpha_bins(*at_peaks('angle').chunk(2, -1))
    yaw = alpha_to_yaw(alpha, center[..., 0], camera)
    # From the center of the volume to the center of the bottom face.
    xyz = xyz + F.pad(dim[..., 1:2] / 2, (1, 1))
    center_2d, half = (
        cell + at_peaks('offset'),
        at_peaks('wh').clamp(min=0) / 2,
    )
    return dict(
        scores_3d=heights * torch.exp(-log_sigma),
        labels_3d=labels,
        bboxes_3d=torch.cat((xyz, dim, yaw[..., None]), -1),
        bboxes=torch.cat((center_2d - half, center_2d + half), -1) * stride,
        alphas=alpha,
    )
