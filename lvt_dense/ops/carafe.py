"""CARAFE upsampling (Wang et al., https://arxiv.org/abs/1905.02188).

Each output pixel is a weighted sum of the k x k input pixels around its own,
and the mask gives the weights, for each group of channels.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lvt_dense.ops.sampling import (
    as_table,
    fixed_bags,
    spread_bags,
    sum_pixels,
)

_MAX_ENTRIES = 1 << 21  # weights at a time: bounds the memory


class _Windows:
    """The windows of all output pixels, row by row. G groups of channels."""

    def __init__(
        self,
        size: torch.Size,
        masks: Tensor,
        kernel_size: int,
        group_size: int,
        scale_factor: int,
    ) -> None:
        self.batch, self.channels, self.height, self.width = size
        self.kernel, self.groups = kernel_size, group_size
        self.scale, self.device = scale_factor, masks.device
        # (B, P, Q, G, k * k)
        self.weights = as_table(masks).view(
            self.batch, *masks.shape[2:], group_size, -1
        )
        self.rows = self._along(self.height)
        self.columns = self._along(self.width)

    def _along(self, size: int) -> tuple[Tensor, Tensor]:
        """Return the pixels of each window along an axis: (P, k), inside."""
        place = torch.arange(size * self.scale, device=self.device)
        tap = torch.arange(self.kernel, device=self.device)
        tap = tap - self.kernel // 2
        place = place[:, None] // self.scale + tap
        return place.clamp(0, size - 1), (place >= 0) & (place < size)

    def inside(self, rows: slice) -> Tensor:
        """Tell which pixels exist: (rows, Q, 1, k * k)."""
        has_row, has_column = self.rows[1], self.columns[1]
        both = has_row[rows, None, :, None] & has_column[:, None]
        return both.flatten(2)[:, :, None]

    def parts(self) -> Iterator[tuple[int, slice, Tensor, Tensor]]:
        """Yield image and rows, and rows of the table and weights."""
        group = torch.arange(self.groups, device=self.device)
        total, taps = len(self.rows[0]), self.kernel**2
        step = max(1, _MAX_ENTRIES // self.weights[0, 0].numel())
        column = self.columns[0][:, None, None]
        for image in range(self.batch):
            for start in range(0, total, step):
                part = slice(start, min(start + step, total))
                row = self.rows[0][part, None, None, :, None]
                pixels = (image * self.height + row) * self.width + column
                pixels = pixels * self.groups + group[:, None, None]
                weights = self.weights[image, part] * self.inside(part)
                entries = pixels.reshape(-1, taps), weights.view(-1, taps)
                yield image, part, *entries

    def table(self, maps: Tensor) -> Tensor:
        """Turn (B, C, H, W) into rows of one group each."""
        return as_table(maps).view(-1, maps.size(1) // self.groups)


def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the upsampled map.

    Args:
        features: (B, C, H, W).
        masks: (B, group_size * kernel_size^2, H * scale, W * scale).
        output: (B, C, H * scale, W * scale), written.
        kernel_size: k, odd.
        group_size: Number of groups of channels.
        scale_factor: Of the size.
    """
    windows = _Windows(
        features.shape, masks, kernel_size, group_size, scale_factor
    )
    table = windows.table(features)
    for image, rows, pixels, weights in windows.parts():
        values = sum_pixels(table, pixels, weights)
        values = values.view(-1, output.size(3), features.size(1))
        output[image, :, rows] = values.permute(2, 0, 1).to(output.dtype)


def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Add to the gradients of the features and the masks.

    The arguments are those of :func:`carafe_naive_forward` and the gradients.
    """
    windows = _Windows(
        features.shape, masks, kernel_size, group_size, scale_factor
    )
    table = windows.table(features)
    grad_table = torch.zeros_like(table)
    for image, rows, pixels, weights in windows.parts():
        grad = as_table(top_grad[image : image + 1, :, rows])
        grad = grad.view(-1, table.size(1))
        with torch.enable_grad():
            weights = weights.detach().requires_grad_()
            values = sum_pixels(table, pixels, weights)
        (found,) = torch.autograd.grad(values, weights, grad)
        inside = windows.inside(rows)
        found = found.view(inside.shape[0], -1, group_size, kernel_size**2)
        found = (found * inside).flatten(2).permute(2, 0, 1)
        mask_grad[image, :, rows] += found.to(mask_grad.dtype)
        spread_bags(grad, fixed_bags(pixels, weights), grad_table)
    maps = grad_table.view(
        windows.batch, windows.height, windows.width, windows.channels
    )
    bottom_grad += maps.permute(0, 3, 1, 2)


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the upsampled map, and keep the features in `rfeatures`.

    The other arguments are those of :func:`carafe_naive_forward`; `routput`
    and `rmasks` are not used.
    """
    rfeatures.copy_(features)
    carafe_naive_forward(
        features, masks, output, kernel_size, group_size, scale_factor
    )


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Add to the gradients of the features and the masks.

    `rfeatures` is what :func:`carafe_forward` has kept; `rtop_grad`,
    `rbottom_grad_hs`, `rbottom_grad` and `rmask_grad` are not used.
    """
    carafe_naive_backward(
        top_grad,
        rfeatures,
        masks,
        bottom_grad,
        mask_grad,
        kernel_size,
        group_size,
        scale_factor,
    )
