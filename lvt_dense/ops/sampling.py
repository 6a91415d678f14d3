"""Weighted sums of the pixels of feature maps.

A map (B, C, H, W) is read as a table with a row of C values a pixel, and a
bag is a list of rows and weights whose weighted sum is wanted: what
``torch.nn.functional.embedding_bag`` computes fast on CPU and GPU.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Bags:
    """Which pixels are summed with which weights.

    Attributes:
        pixels: (E,), rows of the table, int64.
        weights: (E,).
        starts: (G,), where each bag begins.
        owners: (E,), the bag of each entry.
    """

    pixels: Tensor
    weights: Tensor
    starts: Tensor
    owners: Tensor


def start_of_each(lengths: Tensor) -> Tensor:
    """Return where pieces of the given lengths begin when joined."""
    return lengths.cumsum(0) - lengths


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return float32 for half precision, else `dtype` itself."""
    half = dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if half else dtype


def as_table(maps: Tensor) -> Tensor:
    """Turn (B, C, H, W) into (B * H * W, C), not in half precision."""
    rows = maps.permute(0, 2, 3, 1).to(compute_dtype(maps.dtype))
    return rows.reshape(-1, maps.size(1)).contiguous()


def sum_bags(table: Tensor, bags: Bags) -> Tensor:
    """Return the weighted sums, (G, C)."""
    return F.embedding_bag(
        bags.pixels,
        table,
        bags.starts,
        mode='sum',
        per_sample_weights=bags.weights,
    )


def sum_pixels(table: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """Return weighted sums of as many rows each.

    Args:
        table: (R, C); no gradient is computed for it.
        pixels: (G, E), rows of the table.
        weights: (G, E), differentiable.

    Returns:
        (G, C).
    """
    return F.embedding_bag(
        pixels, table.detach(), mode='sum', per_sample_weights=weights
    )


def fixed_bags(pixels: Tensor, weights: Tensor) -> Bags:
    """Turn what :func:`sum_pixels` takes into bags."""
    bags, entries = pixels.shape
    each = torch.arange(bags, device=pixels.device)
    return Bags(
        pixels.flatten(),
        weights.detach().flatten(),
        each * entries,
        each.repeat_interleave(entries),
    )


def corners(
    y: Tensor, x: Tensor, height: int | Tensor, width: int | Tensor
) -> tuple[Tensor, Tensor]:
    """Find the four pixels around points, for bilinear interpolation.

    Outside of the map there are zeros: pixels there have the weight 0.

    Args:
        y: (...), in pixels, 0 is the center of the first row.
        x: (...), in pixels.
        height: Of the map; a tensor if it differs from point to point.
        width: Of the map.

    Returns:
        Pixels (..., 4), row * width + column, and their weights (..., 4),
        differentiable with respect to `y` and `x`.
    """
    inside = (y > -1) & (x > -1) & (y < height) & (x < width)
    top, left = y.detach().floor(), x.detach().floor()
    fy, fx = y - top, x - left
    rows, columns = top.long(), left.long()
    pixels, weights = [], []
    for row, row_weight in ((rows, 1 - fy), (rows + 1, fy)):
        for column, column_weight in ((columns, 1 - fx), (columns + 1, fx)):
            here = inside & (row >= 0) & (column >= 0)
            here = here & (row < height) & (column < width)
            pixels.append((row * width + column) * here)
            weights.append(row_weight * column_weight * here)
    return torch.stack(pixels, -1), torch.stack(weights, -1)


def spread_bags(grad_sums: Tensor, bags: Bags, table: Tensor) -> None:
    """Add the gradient of :func:`sum_bags` to that of the table, in place.

    Args:
        grad_sums: (G, C).
        bags: As given to :func:`sum_bags`.
        table: (B * H * W, C), the gradient so far.
    """
    if not len(bags.pixels):
        return
    pixels, order = bags.pixels.sort()
    owners, weights = bags.owners[order], bags.weights[order]
    if table.device.type == 'cpu':
        used, counts = torch.unique_consecutive(pixels, return_counts=True)
        starts = start_of_each(counts)
        table[used] += sum_bags(grad_sums, Bags(owners, weights, starts, used))
    else:
        table += _sum_by_pixel(grad_sums, pixels, owners, weights, len(table))


def _sum_by_pixel(
    grad_sums: Tensor,
    pixels: Tensor,
    owners: Tensor,
    weights: Tensor,
    rows: int,
) -> Tensor:
    """Return the gradient of the whole table, (rows, C).

    The used pixels are not counted, for which the host would have to wait.
    """
    counts = pixels.new_zeros(rows)
    counts.scatter_add_(0, pixels, torch.ones_like(pixels))
    starts = start_of_each(counts)
    return sum_bags(grad_sums, Bags(owners, weights, starts, pixels))
