"""Multi-scale deformable attention (Zhu et al., arXiv 2010.04159)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lvt_dense.ops.sampling import (
    compute_dtype,
    corners,
    fixed_bags,
    spread_bags,
    sum_pixels,
)

_MAX_ENTRIES = 1 << 21  # weights at a time: bounds the memory


def _entries(
    locations: Tensor,
    attention: Tensor,
    sizes: Tensor,
    starts: Tensor,
    first_row: int,
) -> tuple[Tensor, Tensor]:
    """Return rows of one image's table and weights, (Q * heads, L * P * 4).

    Args:
        locations: (Q, heads, L, P, 2), x and y in 0..1.
        attention: (Q, heads, L, P).
        sizes: (L, 2), height and width of the levels.
        starts: (L,), where the levels begin.
        first_row: Where the image begins.
    """
    height, width = (sizes[:, axis, None] for axis in (0, 1))
    x = locations[..., 0] * width - 0.5
    y = locations[..., 1] * height - 0.5
    pixels, weights = corners(y, x, height, width)
    heads = attention.size(1)
    pixels = first_row + starts[:, None, None] + pixels
    head = torch.arange(heads, device=pixels.device)[:, None, None, None]
    pixels = pixels * heads + head
    weights = weights * attention[..., None]
    return pixels.flatten(2).flatten(0, 1), weights.flatten(2).flatten(0, 1)


def _parts(attention: Tensor) -> Iterator[tuple[int, slice]]:
    """Yield images and slices of the queries; (B, Q, heads, L, P)."""
    batch, queries = attention.shape[:2]
    step = max(1, _MAX_ENTRIES // (4 * max(attention[0, :1].numel(), 1)))
    for image in range(batch):
        for start in range(0, queries, step):
            yield image, slice(start, min(start + step, queries))


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Return the attended values, (B, Q, heads * D).

    Args:
        value: (B, S, heads, D), S pixels of all L levels.
        value_spatial_shapes: (L, 2), height and width of the levels.
        value_level_start_index: (L,), where the levels begin.
        sampling_locations: (B, Q, heads, L, P, 2), x and y in 0..1.
        attention_weights: (B, Q, heads, L, P).
        im2col_step: Not used.
    """
    dtype = compute_dtype(value.dtype)
    batch, pixels, heads, dim = value.shape
    table = value.to(dtype).reshape(-1, dim)
    queries = attention_weights.size(1)
    output = table.new_empty(batch, queries, heads * dim)
    for image, part in _parts(attention_weights):
        entries = _entries(
            sampling_locations[image, part].to(dtype),
            attention_weights[image, part].to(dtype),
            value_spatial_shapes,
            value_level_start_index,
            image * pixels,
        )
        found = sum_pixels(table, *entries)
        output[image, part] = found.view(-1, heads * dim)
    return output.to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Add to the gradients of the values, the locations and the weights.

    The arguments are those of :func:`ms_deform_attn_forward` and the
    gradients.
    """
    dtype = compute_dtype(value.dtype)
    _, pixels, _, dim = value.shape
    table = value.to(dtype).reshape(-1, dim)
    grad_table = torch.zeros_like(table)
    for image, part in _parts(attention_weights):
        leaves = [
            x[image, part].detach().to(dtype).requires_grad_()
            for x in (sampling_locations, attention_weights)
        ]
        with torch.enable_grad():
            rows, weights = _entries(
                leaves[0],
                leaves[1],
                value_spatial_shapes,
                value_level_start_index,
                image * pixels,
            )
            values = sum_pixels(table, rows, weights)
        grad = grad_output[image, part].to(dtype).reshape(values.shape)
        found = torch.autograd.grad(values, leaves, grad)
        grad_sampling_loc[image, part] += found[0]
        grad_attn_weight[image, part] += found[1]
        spread_bags(grad, fixed_bags(rows, weights), grad_table)
    grad_value += grad_table.view_as(grad_value)
