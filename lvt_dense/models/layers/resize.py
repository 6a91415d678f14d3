"""Bilinear resizing as two matrix products."""

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST_FACTOR = 8  # below it, interpolation is faster on a CPU


def enlarge(
    x: Tensor, size: tuple[int, int], align_corners: bool = False
) -> Tensor:
    """Resize as ``F.interpolate(..., mode='bilinear')`` does.

    Rows and columns are multiplied by matrices of the weights. The gradient
    is a product too: where interpolation adds the gradients of 1,024 pixels
    to one cell, atomically on a GPU, it is faster, and the same at each run.
    On a CPU, a map of a quarter of the size or more is interpolated, which is
    faster there.

    Args:
        x: (N, C, H, W).
        size: New height and width.
        align_corners: As for ``F.interpolate``.

    Returns:
        (N, C, *size), within rounding errors of the interpolation.
    """
    factor = min(size[0] / x.shape[2], size[1] / x.shape[3])
    if x.device.type == 'cpu' and factor < _LEAST_FACTOR:
        return F.interpolate(
            x, size=size, mode='bilinear', align_corners=align_corners
        )
    rows, columns = (
        _weights(x.shape[2 + axis], size[axis], align_corners, x)
        for axis in (0, 1)
    )
    return rows.t() @ (x @ columns)


def _weights(
    length: int, new_length: int, align_corners: bool, like: Tensor
) -> Tensor:
    """Return what each new cell takes of each old one, (old, new)."""
    identity = torch.eye(length, dtype=like.dtype, device=like.device)
    return F.interpolate(
        identity[None],
        size=new_length,
        mode='linear',
        align_corners=align_corners,
    )[0]
