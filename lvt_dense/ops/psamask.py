"""Attention masks of PSANet (Zhao et al., ECCV 2018).

A mask holds for each pixel (h, w) the attention to the pixels around it,
(i, j) = (h + row - half height, w + column - half width). The attention map
holds it for all pairs of pixels.
"""

import torch
from torch import Tensor

COLLECT, DISTRIBUTE = 0, 1


def _places(
    size: int, mask_size: int, half: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the row of the mask for (h, i), (H, H), and which exist."""
    pixel = torch.arange(size, device=device)
    row = pixel - pixel[:, None] + half
    return row.clamp(0, mask_size - 1), (row >= 0) & (row < mask_size)


def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Write the attention map.

    Args:
        input: (B, h_mask * w_mask, H, W).
        output: (B, H * W, H, W), written.
        psa_type: 0 (collect): the first axis is the other pixel; 1
            (distribute): it is the pixel itself.
        num_: B.
        h_feature: H.
        w_feature: W.
        h_mask: Height of the masks.
        w_mask: Width of the masks.
        half_h_mask: The row of the mask that means the pixel itself.
        half_w_mask: The column of the mask that means the pixel itself.
    """
    device = input.device
    row, has_row = _places(h_feature, h_mask, half_h_mask, device)
    column, has_column = _places(w_feature, w_mask, half_w_mask, device)
    masks = input.view(num_, h_mask, w_mask, h_feature, w_feature)
    h = torch.arange(h_feature, device=device)[:, None, None, None]
    w = torch.arange(w_feature, device=device)[:, None, None]
    row, has_row = row[:, None, :, None], has_row[:, None, :, None]
    column, has_column = column[:, None], has_column[:, None]
    found = masks[:, row, column, h, w] * (has_row & has_column)
    pixels = h_feature * w_feature
    found = found.reshape(num_, pixels, pixels)  # (h, w), (i, j)
    if psa_type == COLLECT:
        found = found.transpose(1, 2)
    output.copy_(found.reshape(output.shape))


def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Write the gradient of the masks.

    The arguments are those of :func:`psamask_forward` and the gradients.
    """
    pixels = h_feature * w_feature
    grad = grad_output.reshape(num_, pixels, pixels)
    if psa_type == COLLECT:
        grad = grad.transpose(1, 2)
    grad = grad.reshape(num_, h_feature, w_feature, h_feature, w_feature)
    device = grad.device
    h = torch.arange(h_feature, device=device)[:, None]
    w = torch.arange(w_feature, device=device)
    row = torch.arange(h_mask, device=device)[:, None, None, None]
    column = torch.arange(w_mask, device=device)[:, None, None]
    i, j = h + row - half_h_mask, w + column - half_w_mask
    inside = (i >= 0) & (i < h_feature) & (j >= 0) & (j < w_feature)
    i, j = i.clamp(0, h_feature - 1), j.clamp(0, w_feature - 1)
    found = grad[:, h, w, i, j] * inside
    grad_input.copy_(found.reshape(grad_input.shape))
