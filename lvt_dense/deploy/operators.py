"""Operators of the exported graphs that no single PyTorch operator is.

Each is a custom operator of PyTorch with outputs of a static shape, so that
``torch.export`` passes over it, and has a translation to ONNX, where the
shapes inside may depend on the data.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


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


def onnx_translations() -> dict[Any, Callable]:
    """Return the ONNX graph of each operator, built with ONNX Script."""
    from onnxscript import opset18 as op
    from onnxscript import script
    from onnxscript.onnx_types import BOOL, FLOAT

    def nms_mask_onnx(boxes: Any, scores: Any, iou_threshold: float) -> Any:
        everything = op.Constant(value_ints=[2**31 - 1])
        selected = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            everything,
            op.Constant(value_floats=[float(iou_threshold)]),
            op.Constant(value_floats=[0.0]),
        )
        # Columns: image, class (there is one), box.
        index = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)
        none = op.Mul(scores, op.Constant(value_float=0.0))
        count = op.Shape(index, start=0, end=1)
        ones = op.Expand(op.Constant(value_floats=[1.0]), count)
        return op.Cast(op.ScatterND(none, index, ones), to=9)

    def pyramid_roi_align_onnx(
        features: Sequence[Any],
        rois: Any,
        levels: Any,
        output_size: int,
        spatial_scales: Sequence[float],
        sampling_ratio: int,
    ) -> Any:
        axis = op.Constant(value_ints=[1])
        zero = op.Constant(value_ints=[0])
        rows = op.Shape(rois, start=0, end=1)
        channels = op.Shape(features[0], start=1, end=2)
        side = op.Constant(value_ints=[output_size])
        shape = op.Concat(rows, channels, side, side, axis=0)
        out = op.Expand(op.Constant(value_float=0.0), shape)
        for level, feature in enumerate(features):
            here = op.Equal(levels, op.Constant(value_int=level))
            index = op.Transpose(op.NonZero(here), perm=[1, 0])
            chosen = op.GatherND(rois, index)
            boxes = op.Slice(
                chosen, axis, op.Constant(value_ints=[5]), axis
            )
            image = op.Slice(chosen, zero, axis, axis)
            pooled = op.RoiAlign(
                feature,
                boxes,
                op.Cast(op.Squeeze(image, axis), to=7),
                coordinate_transformation_mode='half_pixel',
                mode='avg',
                output_height=output_size,
                output_width=output_size,
                sampling_ratio=sampling_ratio,
                spatial_scale=float(spatial_scales[level]),
            )
            out = op.ScatterND(out, index, pooled)
        return out

    @script()
    def greedy_mask_onnx(overlaps: FLOAT['N', 'K', 'K']) -> BOOL['N', 'K']:  # noqa: F821
        one = op.Constant(value_ints=[1])
        count = op.Squeeze(op.Shape(overlaps, start=1, end=2))
        # Suppressed by better ones: the lower triangle without the diagonal.
        lower = op.Trilu(overlaps, op.Constant(value_int=-1), upper=0)
        keep = op.Expand(
            op.Constant(value_float=1.0), op.Shape(overlaps, start=0, end=2)
        )
        for i in range(count):
            at = op.Unsqueeze(i, op.Constant(value_ints=[0]))
            row = op.Squeeze(op.Gather(lower, at, axis=1), one)
            hit = op.ReduceMax(op.Mul(row, keep), one, keepdims=1)
            column = op.OneHot(
                at, op.Unsqueeze(count, op.Constant(value_ints=[0])),
                op.Constant(value_floats=[0.0, 1.0]), axis=-1,
            )
            keep = keep * (1.0 - column * hit)
        return op.Cast(keep, to=9)

    namespace = torch.ops.lvt_dense
    return {
        namespace.nms_mask.default: nms_mask_onnx,
        namespace.pyramid_roi_align.default: pyramid_roi_align_onnx,
        namespace.greedy_mask.default: greedy_mask_onnx,
    }
