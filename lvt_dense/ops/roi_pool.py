"""RoIPool (Girshick, https://arxiv.org/abs/1504.08083)."""

import torch
from torch import Tensor

from lvt_dense.ops.sampling import compute_dtype


def _bins(
    begin: Tensor, end: Tensor, bins: int, size: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Return where the bins of each region begin and end, clipped."""
    width = (end - begin) / bins
    index = torch.arange(bins + 1, device=begin.device)
    edge = index * width[:, None] + begin[:, None]
    first, last = edge[:, :-1].floor(), edge[:, 1:].ceil()
    starts, ends = (x.clamp(0, size).long().tolist() for x in (first, last))
    return starts, ends


def _pool_axis(
    values: Tensor, dim: int, firsts: list[int], lasts: list[int]
) -> tuple[Tensor, Tensor]:
    """Return the largest values of each slice along `dim`, and where."""
    best, where = [], []
    for first, last in zip(firsts, lasts):
        if first >= last:
            shape = list(values.shape)
            del shape[dim]
            best.append(values.new_zeros(shape))
            where.append(torch.full_like(best[-1], -1, dtype=torch.long))
            continue
        largest, index = values.narrow(dim, first, last - first).max(dim)
        best.append(largest)
        where.append(index + first)
    return torch.stack(best, dim), torch.stack(where, dim)


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the largest value of each bin.

    Args:
        input: (B, C, H, W).
        rois: (N, 5), the image in the batch and x1, y1, x2, y2.
        output: (N, C, P, Q), written; zeros where a bin is empty.
        argmax: (N, C, P, Q), row * W + column, or -1; written.
        pooled_height: P.
        pooled_width: Q.
        spatial_scale: From the coordinates of `rois` to pixels of `input`.
    """
    height, width = input.shape[2:]
    rois = rois.to(compute_dtype(rois.dtype))
    x1, y1 = (rois[:, 1:3] * spatial_scale).unbind(1)
    x2, y2 = ((rois[:, 3:] + 1) * spatial_scale).unbind(1)
    rows = _bins(y1, y2, pooled_height, height)
    columns = _bins(x1, x2, pooled_width, width)
    images = rois[:, 0].long().tolist()
    sized = ((x2 > x1) & (y2 > y1)).tolist()
    for n, image in enumerate(images):
        if not sized[n]:
            output[n], argmax[n] = 0, -1
            continue
        # columns first, so that of equal values the upper left one counts
        values, column = _pool_axis(
            input[image], 2, columns[0][n], columns[1][n]
        )
        values, row = _pool_axis(values, 1, rows[0][n], rows[1][n])
        column = column.gather(1, row.clamp(min=0))
        empty = (row < 0) | (column < 0)
        output[n] = values.masked_fill(empty, 0)
        argmax[n] = (row * width + column).masked_fill(empty, -1)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add the gradient of the pooled values to that of the maps.

    Args:
        grad_output: (N, C, P, Q).
        rois: (N, 5), the image in the batch and x1, y1, x2, y2.
        argmax: (N, C, P, Q), from the forward.
        grad_input: (B, C, H, W), added to.
        pooled_height: Not used.
        pooled_width: Not used.
        spatial_scale: Not used.
    """
    _, channels, height, width = grad_input.shape
    plane = rois[:, 0].long()[:, None] * channels
    plane = plane + torch.arange(channels, device=rois.device)
    place = plane[:, :, None, None] * (height * width) + argmax.clamp(min=0)
    wide = compute_dtype(grad_input.dtype)
    flat = torch.zeros(
        grad_input.numel(), dtype=wide, device=grad_input.device
    )
    grad = (grad_output.to(wide) * (argmax >= 0)).flatten()
    grad_input += flat.index_add_(0, place.flatten(), grad).view_as(grad_input)
