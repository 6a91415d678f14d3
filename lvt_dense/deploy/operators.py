"""Operators of the exported graphs that no single PyTorch operator is.

Each is a custom operator of PyTorch with outputs of a static shape, so that
``torch.export`` passes over it, and has a translation to ONNX, where the
shapes inside may depend on the data.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lvt_dense.utils.errors import UserError

MEANINGS = {
    'lvt_dense::nms_mask': 'non-maximum suppression',
    'lvt_dense::greedy_mask': 'suppression of 3D boxes',
    'lvt_dense::pyramid_roi_align': 'RoIAlign',
}


def operators_of(program: torch.export.ExportedProgram) -> set[str]:
    """Name the operators of a program."""
    targets = (node.target for node in program.graph.nodes)
    return {t.name() for t in targets if isinstance(t, torch._ops.OpOverload)}


def refuse_untranslated(names: Iterable[str], kind: str) -> None:
    """Refuse a graph with operators of ours for a format without them.

    Args:
        names: The graph's operators, such as ``'aten::add'``.
        kind: The format.

    Raises:
        UserError: One of them is ours.
    """
    used = set(names)
    found = [text for name, text in MEANINGS.items() if name in used]
    if found:
        raise UserError(
            f'{kind} has no operator for {" and ".join(found)}; --raw exports '
            'the network up to the maps'
        )


@torch.library.custom_op('lvt_dense::nms_mask', mutates_args=())
def nms_mask(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Mark the boxes that greedy non-maximum suppression keeps.

    Args:
        boxes: Boxes, (N, K, 4) as xyxy.
        scores: Scores, (N, K); boxes with a score of 0 or less are no
            candidates.
        iou_threshold: Larger overlaps with a better box suppress a box.

    Returns:
        Mask of the kept boxes, (N, K) bool.
    """
    from mmcv.ops import nms

    keep = torch.zeros_like(scores, dtype=torch.bool)
    for image in range(len(scores)):
        (candidates,) = (scores[image] > 0).nonzero(as_tuple=True)
        if len(candidates):
            _, kept = nms(
                boxes[image, candidates].contiguous(),
                scores[image, candidates].contiguous(),
                iou_threshold,
            )
            keep[image, candidates[kept]] = True
    return keep


@nms_mask.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


@torch.library.custom_op('lvt_dense::pyramid_roi_align', mutates_args=())
def pyramid_roi_align(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    output_size: int,
    spatial_scales: Sequence[float],
    sampling_ratio: int,
) -> Tensor:
    """Pool regions from the levels of a pyramid.

    Args:
        features: Levels, each (N, C, H_i, W_i).
        rois: Image index and xyxy in pixels of the image, (R, 5).
        levels: Level of each region, (R,) int64.
        output_size: Side of the pooled maps in cells.
        spatial_scales: Cells a pixel of each level.
        sampling_ratio: Samples a cell and side; 0 takes as many as the
            region has cells.

    Returns:
        Pooled maps, (R, C, output_size, output_size).
    """
    from mmcv.ops import roi_align

    channels = features[0].shape[1]
    out = rois.new_zeros(len(rois), channels, output_size, output_size)
    for level, (feature, scale) in enumerate(zip(features, spatial_scales)):
        (index,) = (levels == level).nonzero(as_tuple=True)
        if len(index):
            out[index] = roi_align(
                feature,
                rois[index],
                output_size,
                scale,
                sampling_ratio,
                'avg',
                True,
            )
    return out


@pyramid_roi_align.register_fake
def _(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    output_size: int,
    spatial_scales: Sequence[float],
    sampling_ratio: int,
) -> Tensor:
    channels = features[0].shape[1]
    return rois.new_empty(rois.shape[0], channels, output_size, output_size)


@torch.library.custom_op('lvt_dense::greedy_mask', mutates_args=())
def greedy_mask(overlaps: Tensor) -> Tensor:
    """Suppress greedily, given which pairs overlap too much.

    Args:
        overlaps: Pairs that exclude each other, (N, K, K) float, 1 or 0; the
            candidates are sorted by falling score.

    Returns:
        Mask of the kept candidates, (N, K) bool.
    """
    keep = torch.ones(overlaps.shape[:2], dtype=torch.bool)
    for i in range(overlaps.shape[1]):
        better = keep[:, :i] & (overlaps[:, i, :i] > 0)
        keep[:, i] = ~better.any(1)
    return keep.to(overlaps.device)


@greedy_mask.register_fake
def _(overlaps: Tensor) -> Tensor:
    return overlaps.new_empty(overlaps.shape[:2], dtype=torch.bool)
