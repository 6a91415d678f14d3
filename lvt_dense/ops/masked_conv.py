"""Convolution at the places of a mask only (guided anchoring)."""

from torch import Tensor
from torch.nn import functional as F


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Gather the patches around M places.

    Args:
        im: (1, C, H, W).
        mask_h_idx: (M,), rows.
        mask_w_idx: (M,), columns.
        col: (C * kernel_h * kernel_w, M), written.
        kernel_h: Height of the kernel.
        kernel_w: Width of the kernel.
        pad_h: Vertical padding.
        pad_w: Horizontal padding.
    """
    # padded also below and to the right, where a place may reach over
    padded = F.pad(im[0], (pad_w, kernel_w, pad_h, kernel_h))
    out = col.view(im.size(1), kernel_h, kernel_w, -1)
    for row in range(kernel_h):
        for column in range(kernel_w):
            patch = padded[:, mask_h_idx + row, mask_w_idx + column]
            out[:, row, column] = patch


def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write the values of M places into a map.

    Args:
        col: (channels, M).
        mask_h_idx: (M,), rows.
        mask_w_idx: (M,), columns.
        im: (1, channels, height, width), written at these places.
        height: Of the map.
        width: Of the map.
        channels: Of the map.
    """
    im[0, :, mask_h_idx, mask_w_idx] = col.to(im.dtype)
