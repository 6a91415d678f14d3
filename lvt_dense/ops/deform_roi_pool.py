"""Deformable RoI pooling (Dai et al., https://arxiv.org/abs/1703.06211).

The mean of a grid of bilinear samples, as in RoIAlign, but every bin is
shifted by an offset of its own.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lvt_dense.ops.roi_align import neighbors
from lvt_dense.ops.sampling import (
    as_table,
    compute_dtype,
    fixed_bags,
    spread_bags,
    sum_pixels,
)

_MAX_ENTRIES = 1 << 21  # weights at a time: bounds the memory


def _sample_axis(
    begin: Tensor, end: Tensor, shift: Tensor, axis: int, size: int, ratio: int
) -> tuple[Tensor, Tensor]:
    """Return the pixels and weights of the bins along one axis.

    Args:
        begin: (N,), where the regions begin, in pixels.
        end: (N,).
        shift: (N, P, Q), of the bins, as a share of the region's length.
        axis: 0 for y, 1 for x.
        size: Of the map.
        ratio: Samples a bin; 0 for one a pixel.

    Returns:
        Pixels and weights, each (N, P, Q, 2 * S).
    """
    bins = shift.size(1 + axis)
    length = end - begin
    bin_size = length / bins
    if ratio > 0:
        grid = torch.full_like(length, ratio, dtype=torch.long)
    else:
        grid = bin_size.ceil().long().clamp(min=0)
    step = torch.arange(max(int(grid.max()), 1), device=begin.device)
    index = torch.arange(bins, device=begin.device)
    index = index[:, None] if axis == 0 else index
    wide = bin_size[:, None, None]
    origin = begin[:, None, None] + length[:, None, None] * shift
    origin = origin + index * wide
    within = (step + 0.5) * bin_size[:, None] / grid.clamp(min=1)[:, None]
    position = origin[..., None] + within[:, None, None]
    low, high, fraction, inside = neighbors(position, size)
    inside = inside & (step < grid[:, None])[:, None, None]
    share = inside / grid.clamp(min=1)[:, None, None, None]
    share = share.to(fraction.dtype)
    weights = torch.cat([(1 - fraction) * share, fraction * share], -1)
    return torch.cat([low, high], -1), weights


def _entries(
    rois: Tensor,
    offset: Tensor,
    size: torch.Size,
    scale: float,
    ratio: int,
    gamma: float,
) -> tuple[Tensor, Tensor]:
    """Return rows of the table and weights, (N * P * Q, entries).

    Args:
        rois: (N, 5), the image in the batch and x1, y1, x2, y2.
        offset: (N, 2, P, Q), of x and of y.
        size: (B, C, H, W) of the maps.
        scale: From the coordinates of `rois` to pixels.
        ratio: Samples a bin and axis; 0 for one a pixel.
        gamma: Factor of the offsets.
    """
    height, width = size[2:]
    x1, y1, x2, y2 = (rois[:, 1:] * scale - 0.5).unbind(1)
    shift = gamma * offset
    rows, row_weights = _sample_axis(y1, y2, shift[:, 1], 0, height, ratio)
    columns, weights = _sample_axis(x1, x2, shift[:, 0], 1, width, ratio)
    first = rois[:, 0].long().view(-1, 1, 1, 1) * height
    pixels = ((first + rows) * width)[..., None] + columns[..., None, :]
    weights = row_weights[..., None] * weights[..., None, :]
    return pixels.flatten(3).flatten(0, 2), weights.flatten(3).flatten(0, 2)


def _parts(
    rois: Tensor, bins: tuple[int, int], scale: float, ratio: int
) -> Iterator[slice]:
    """Yield slices of the regions."""
    sides = (rois[:, 3:] - rois[:, 1:3]) * scale
    samples = sides / sides.new_tensor(bins[::-1])
    each = ratio**2 if ratio > 0 else int(samples.max().ceil()) ** 2
    step = max(1, _MAX_ENTRIES // (4 * max(each, 1) * bins[0] * bins[1]))
    for start in range(0, len(rois), step):
        yield slice(start, min(start + step, len(rois)))


def _offsets(offset: Tensor, rois: Tensor, bins: tuple[int, int]) -> Tensor:
    """Return the offsets, zeros if there are none."""
    if offset.numel():
        return offset.to(rois.dtype)
    return rois.new_zeros(len(rois), 2, *bins)


def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Write the pooled values of each region.

    Args:
        input: (B, C, H, W).
        rois: (N, 5), the image in the batch and x1, y1, x2, y2.
        offset: (N, 2, P, Q), of x and of y, as shares of the region's sides;
            or empty.
        output: (N, C, P, Q), written.
        pooled_height: P.
        pooled_width: Q.
        spatial_scale: From the coordinates of `rois` to pixels of `input`.
        sampling_ratio: Samples a bin and axis; 0 for one a pixel.
        gamma: Factor of the offsets.
    """
    if output.numel() == 0:
        return
    bins = (pooled_height, pooled_width)
    rois = rois.to(compute_dtype(rois.dtype))
    offset = _offsets(offset, rois, bins)
    table = as_table(input)
    for part in _parts(rois, bins, spatial_scale, sampling_ratio):
        entries = _entries(
            rois[part],
            offset[part],
            input.shape,
            spatial_scale,
            sampling_ratio,
            gamma,
        )
        pooled = sum_pixels(table, *entries).unflatten(0, (-1, *bins))
        output[part] = pooled.permute(0, 3, 1, 2).to(output.dtype)


def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Add to the gradients of the maps and of the offsets.

    The arguments are those of :func:`deform_roi_pool_forward` and the
    gradients.
    """
    if grad_output.numel() == 0:
        return
    bins = (pooled_height, pooled_width)
    rois = rois.to(compute_dtype(rois.dtype))
    offsets = _offsets(offset, rois, bins)
    table = as_table(input)
    grad_table = torch.zeros_like(table)
    for part in _parts(rois, bins, spatial_scale, sampling_ratio):
        leaf = offsets[part].detach().requires_grad_()
        with torch.enable_grad():
            pixels, weights = _entries(
                rois[part],
                leaf,
                input.shape,
                spatial_scale,
                sampling_ratio,
                gamma,
            )
            values = sum_pixels(table, pixels, weights)
        grad = as_table(grad_output[part])
        if offset.numel():
            (found,) = torch.autograd.grad(values, leaf, grad)
            grad_offset[part] += found.to(grad_offset.dtype)
        spread_bags(grad, fixed_bags(pixels, weights), grad_table)
    batch, channels, height, width = input.shape
    maps = grad_table.view(batch, height, width, channels)
    grad_input += maps.permute(0, 3, 1, 2)
