"""The ONNX graphs of the custom operators, built with ONNX Script."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import BOOL, FLOAT, script
from onnxscript import opset18 as op

from . import operators  # noqa: F401  (registers the operators)


def nms_mask(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Build the graph of :func:`lvt_dense.deploy.operators.nms_mask`."""
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


def pyramid_roi_align(
    features: Sequence[Any],
    rois: Any,
    levels: Any,
    output_size: int,
    spatial_scales: Sequence[float],
    sampling_ratio: int,
) -> Any:
    """Build the graph of ``pyramid_roi_align``."""
    zero, one = op.Constant(value_ints=[0]), op.Constant(value_ints=[1])
    rows = op.Shape(rois, start=0, end=1)
    channels = op.Shape(features[0], start=1, end=2)
    side = op.Constant(value_ints=[output_size])
    shape = op.Concat(rows, channels, side, side, axis=0)
    out = op.Expand(op.Constant(value_float=0.0), shape)
    for level, feature in enumerate(features):
        here = op.Equal(levels, op.Constant(value_int=level))
        index = op.Transpose(op.NonZero(here), perm=[1, 0])
        chosen = op.GatherND(rois, index)
        image = op.Squeeze(op.Slice(chosen, zero, one, one), one)
        pooled = op.RoiAlign(
            feature,
            op.Slice(chosen, one, op.Constant(value_ints=[5]), one),
            op.Cast(image, to=7),
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
def greedy_mask(overlaps: FLOAT) -> BOOL:
    """Build the graph of ``greedy_mask``: a loop over the candidates."""
    one = op.Constant(value_ints=[1])
    zero = op.Constant(value_ints=[0])
    count = op.Squeeze(op.Shape(overlaps, start=1, end=2))
    # Suppressed by better ones: the lower triangle without the diagonal.
    lower = op.Trilu(overlaps, op.Constant(value_int=-1), upper=0)
    keep = op.Expand(
        op.Constant(value_float=1.0), op.Shape(overlaps, start=0, end=2)
    )
    for i in range(count):
        at = op.Unsqueeze(i, zero)
        row = op.Squeeze(op.Gather(lower, at, axis=1), one)
        hit = op.ReduceMax(op.Mul(row, keep), one, keepdims=1)
        column = op.OneHot(
            at,
            op.Unsqueeze(count, zero),
            op.Constant(value_floats=[0.0, 1.0]),
            axis=-1,
        )
        keep = op.Mul(
            keep,
            op.Sub(op.Constant(value_float=1.0), op.Mul(column, hit)),
        )
    return op.Cast(keep, to=9)


def onnx_translations() -> dict[Any, Callable]:
    """Return the ONNX graph of each custom operator."""
    namespace = torch.ops.lvt_dense
    return {
        namespace.nms_mask.default: nms_mask,
        namespace.pyramid_roi_align.default: pyramid_roi_align,
        namespace.greedy_mask.default: greedy_mask,
    }
