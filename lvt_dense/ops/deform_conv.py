"""Deformable convolutions.

Version 1 (Dai et al., https://arxiv.org/abs/1703.06211) and the modulated
version 2 (Zhu et al., https://arxiv.org/abs/1811.11168). The samples of all
places are gathered into a matrix, which is multiplied by the kernel.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lvt_dense.ops import kernels
from lvt_dense.ops.sampling import (
    as_table,
    compute_dtype,
    corners,
    fixed_bags,
    spread_bags,
    sum_pixels,
)

_MAX_COLUMNS = 1 << 23  # values of the matrix at a time: bounds the memory


@dataclass(frozen=True)
class _Layer:
    """The settings of a layer; pairs are (vertical, horizontal)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    deform_groups: int

    def as_sequence(self) -> tuple[int, ...]:
        """Return the settings in the order of torchvision's kernels."""
        pairs = *self.stride, *self.padding, *self.dilation
        return *pairs, self.groups, self.deform_groups

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = (
            (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for size, pad, dilation, kernel, stride in zip(
                (height, width),
                self.padding,
                self.dilation,
                self.kernel,
                self.stride,
            )
        )
        return rows, columns


class _Samples:
    """Where each output reads the input. L places, K taps of the kernel."""

    def __init__(
        self, input: Tensor, offset: Tensor, mask: Tensor | None, layer: _Layer
    ) -> None:
        self.layer = layer
        self.batch, self.channels, self.height, self.width = input.shape
        self.taps = layer.kernel[0] * layer.kernel[1]
        self.size = layer.output_size(self.height, self.width)
        self._check(offset)
        groups = layer.deform_groups
        self.dtype = compute_dtype(input.dtype)
        self.table = as_table(input).view(-1, self.channels // groups)
        shape = self.batch, groups, self.taps, -1, *self.size
        self.offset = self._by_place(offset.reshape(shape))
        self.mask = None
        if mask is not None:
            self.mask = self._by_place(mask.reshape(shape)).squeeze(3)
        self.base = self._base(input.device)

    def _check(self, offset: Tensor) -> None:
        expected = (
            self.batch,
            2 * self.taps * self.layer.deform_groups,
            *self.size,
        )
        if tuple(offset.shape) != expected:
            raise RuntimeError(
                f'Deformable convolution: offset of shape {expected} '
                f'expected, got {tuple(offset.shape)}.'
            )

    def _by_place(self, x: Tensor) -> Tensor:
        """Turn (B, D, K, n, H, W) into (B * L, K, D, n)."""
        x = x.permute(0, 4, 5, 2, 1, 3).to(self.dtype)
        return x.reshape(-1, *x.shape[3:])

    def _base(self, device: torch.device) -> Tensor:
        """Return where the taps lie without offsets, (L, K, 2)."""
        axes = []
        for axis in (0, 1):
            start = torch.arange(self.size[axis], device=device)
            start = start * self.layer.stride[axis] - self.layer.padding[axis]
            tap = torch.arange(self.layer.kernel[axis], device=device)
            axes.append(start[:, None] + tap * self.layer.dilation[axis])
        y, x = axes[0][:, None, :, None], axes[1][None, :, None, :]
        grid = torch.stack(torch.broadcast_tensors(y, x), -1)
        return grid.reshape(-1, self.taps, 2)

    def parts(self) -> Iterator[slice]:
        """Yield slices of the places of all images."""
        places = len(self.offset)
        step = max(1, _MAX_COLUMNS // (self.taps * self.channels))
        for start in range(0, places, step):
            yield slice(start, min(start + step, places))

    def pixels(
        self, part: slice, offset: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return rows of the table and weights, (places * K * D, 4)."""
        place = torch.arange(part.start, part.stop, device=offset.device)
        image = place // len(self.base)
        base = self.base[place % len(self.base)][:, :, None]
        y, x = (base + offset).unbind(-1)
        pixels, weights = corners(y, x, self.height, self.width)
        pixels += (image * (self.height * self.width)).view(-1, 1, 1, 1)
        groups = self.layer.deform_groups
        group = torch.arange(groups, device=offset.device)
        pixels = pixels * groups + group[:, None]
        if mask is not None:
            weights = weights * mask[..., None]
        return pixels.view(-1, 4), weights.view(-1, 4)

    def columns(self, part: slice) -> Tensor:
        """Return the matrix of a part, (places, K, C)."""
        mask = None if self.mask is None else self.mask[part]
        entries = self.pixels(part, self.offset[part], mask)
        values = sum_pixels(self.table, *entries)
        return values.view(-1, self.taps, self.channels)


def _split(x: Tensor, groups: int) -> Tensor:
    """Turn (places, n, C) into (G, places, n * C / G)."""
    x = x.unflatten(2, (groups, -1)).permute(2, 0, 1, 3)
    return x.flatten(2)


def _as_matrix(weight: Tensor, groups: int) -> Tensor:
    """Turn (O, C / G, h, w) into (G, K * C / G, O / G)."""
    x = weight.to(compute_dtype(weight.dtype)).flatten(2)
    x = x.unflatten(0, (groups, -1)).permute(0, 3, 2, 1)
    return x.flatten(1, 2)


def _from_matrix(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Turn (G, K * C / G, O / G) into (O, C / G, h, w)."""
    taps = shape[2] * shape[3]
    x = matrix.unflatten(1, (taps, -1)).permute(0, 3, 2, 1)
    return x.reshape(shape)


def _forward(
    samples: _Samples, weight: Tensor, bias: Tensor | None, output: Tensor
) -> None:
    groups = samples.layer.groups
    matrix = _as_matrix(weight, groups)
    rows = matrix.new_empty(len(samples.offset), weight.size(0))
    for part in samples.parts():
        out = torch.bmm(_split(samples.columns(part), groups), matrix)
        rows[part] = out.transpose(0, 1).flatten(1)
    if bias is not None:
        rows += bias
    result = rows.view(samples.batch, *samples.size, -1).permute(0, 3, 1, 2)
    output.copy_(result.reshape(output.shape))


def _rows(grad_output: Tensor, groups: int) -> Tensor:
    """Turn (B, O, H, W) into (G, B * L, O / G)."""
    return _split(as_table(grad_output)[:, None], groups)


def _backward_weight(samples: _Samples, grad_output: Tensor) -> Tensor:
    """Return the gradient of the kernel's matrix."""
    groups = samples.layer.groups
    grad = _rows(grad_output, groups)
    products = (
        torch.bmm(
            _split(samples.columns(part), groups).transpose(1, 2),
            grad[:, part],
        )
        for part in samples.parts()
    )
    return functools.reduce(torch.add, products)


def _backward_input(
    samples: _Samples,
    weight: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor | None,
) -> None:
    """Add the gradients of the input, the offsets and the mask."""
    groups = samples.layer.groups
    matrix = _as_matrix(weight, groups).transpose(1, 2)
    grad = _rows(grad_output, groups)
    table = torch.zeros_like(samples.table)
    offsets = torch.empty_like(samples.offset)
    mask_of = samples.mask
    masks = None if mask_of is None else torch.empty_like(mask_of)
    for part in samples.parts():
        columns = torch.bmm(grad[:, part], matrix)
        columns = columns.unflatten(2, (samples.taps, -1)).permute(1, 2, 0, 3)
        columns = columns.reshape(-1, table.size(1))
        with torch.enable_grad():
            leaves = [samples.offset[part].detach().requires_grad_()]
            mask = None
            if mask_of is not None:
                mask = mask_of[part].detach().requires_grad_()
                leaves.append(mask)
            pixels, weights = samples.pixels(part, leaves[0], mask)
            values = sum_pixels(samples.table, pixels, weights)
        found = torch.autograd.grad(values, leaves, columns)
        offsets[part] = found[0]
        if masks is not None:
            masks[part] = found[1]
        spread_bags(columns, fixed_bags(pixels, weights), table)
    maps = table.view(
        samples.batch, samples.height, samples.width, samples.channels
    )
    grad_input += maps.permute(0, 3, 1, 2)
    for places, out in ((offsets, grad_offset), (masks, grad_mask)):
        if places is not None and out is not None:
            by_map = places.view(
                samples.batch,
                *samples.size,
                samples.taps,
                samples.layer.deform_groups,
                -1,
            )
            by_map = by_map.permute(0, 4, 3, 5, 1, 2)
            out += by_map.reshape(out.shape)


def _layer_1(
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> _Layer:
    """Collect the settings of version 1, under the names of mmcv.

    Args:
        kW: Width of the kernel.
        kH: Height of the kernel.
        dW: Horizontal stride.
        dH: Vertical stride.
        padW: Horizontal padding.
        padH: Vertical padding.
        dilationW: Horizontal dilation.
        dilationH: Vertical dilation.
        group: Number of groups of the convolution.
        deformable_group: Number of groups of channels with offsets of their
            own.
        im2col_step: Not used.
    """
    return _Layer(
        (kH, kW),
        (dH, dW),
        (padH, padW),
        (dilationH, dilationW),
        group,
        deformable_group,
    )


def _layer_2(
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
) -> _Layer:
    """Collect the settings of version 2, whose names in mmcv differ."""
    return _Layer(
        (kernel_h, kernel_w),
        (stride_h, stride_w),
        (pad_h, pad_w),
        (dilation_h, dilation_w),
        group,
        deformable_group,
    )


def _kernel_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    layer: _Layer,
) -> tuple[Tensor, ...]:
    """Return torchvision's gradients, with the offsets' as MMCV has them.

    A sample at -1 exactly, as those of a padded layer whose offsets begin
    with 0, lies outside for MMCV, and has a gradient in torchvision.
    """
    tensors = input, weight, offset, mask, None
    found = kernels.deform_conv_backward(grad, *tensors, layer.as_sequence())
    found[2].masked_fill_(_is_outside(offset, layer), 0)
    return found


def _is_outside(offset: Tensor, layer: _Layer) -> Tensor:
    """Tell which samples lie at -1 or before along an axis, as `offset`."""
    samples = offset.unflatten(1, (-1, *layer.kernel, 2))
    sides = []
    for axis in (0, 1):
        place = torch.arange(offset.shape[2 + axis], device=offset.device)
        tap = torch.arange(layer.kernel[axis], device=offset.device)
        place = place * layer.stride[axis] - layer.padding[axis]
        sides.append(tap[:, None] * layer.dilation[axis] + place)
    y = sides[0][:, None, :, None] + samples[:, :, :, :, 0]
    x = sides[1][:, None] + samples[:, :, :, :, 1]
    outside = ((y <= -1) | (x <= -1)).unsqueeze(4)
    return outside.expand_as(samples).reshape(offset.shape)


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **settings: int,
) -> None:
    """Write the output of a deformable convolution.

    Args:
        input: (B, C, H, W).
        weight: (O, C / groups, kH, kW).
        offset: (B, 2 * deform_groups * kH * kW, P, Q), y and x of each tap.
        output: (B, O, P, Q), written.
        columns: Not used.
        ones: Not used.
        **settings: See :func:`_layer_1`.
    """
    layer = _layer_1(**settings)
    if kernels.uses_torchvision('deform_conv', input.device.type):
        tensors = input, weight, offset, None, None
        output.copy_(kernels.deform_conv(*tensors, layer.as_sequence()))
        return
    samples = _Samples(input, offset, None, layer)
    _forward(samples, weight, None, output)


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **settings: int,
) -> None:
    """Add to the gradients of the input and of the offsets.

    The arguments are those of :func:`deform_conv_forward` and the gradients.
    """
    layer = _layer_1(**settings)
    if kernels.uses_torchvision('deform_conv', input.device.type):
        found = _kernel_backward(
            gradOutput, input, weight, offset, None, layer
        )
        gradInput += found[0]
        gradOffset += found[2]
        return
    samples = _Samples(input, offset, None, layer)
    _backward_input(samples, weight, gradOutput, gradInput, gradOffset, None)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float,
    **settings: int,
) -> None:
    """Add `scale` times the gradient of the kernel to `gradWeight`.

    The arguments are those of :func:`deform_conv_forward` and the gradients.
    """
    layer = _layer_1(**settings)
    if kernels.uses_torchvision('deform_conv', input.device.type):
        found = _kernel_backward(
            gradOutput, input, gradWeight, offset, None, layer
        )
        gradWeight += scale * found[1]
        return
    samples = _Samples(input, offset, None, layer)
    grad = _backward_weight(samples, gradOutput)
    gradWeight += scale * _from_matrix(grad, gradWeight.shape)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool,
    **settings: int,
) -> None:
    """Write the output of a modulated deformable convolution.

    Args:
        input: (B, C, H, W).
        weight: (O, C / groups, kernel_h, kernel_w).
        bias: (O,), or empty.
        ones: Not used.
        offset: (B, 2 * deform_groups * kernel_h * kernel_w, P, Q), y and x of
            each tap.
        mask: (B, deform_groups * kernel_h * kernel_w, P, Q), factors.
        output: (B, O, P, Q), written.
        columns: Not used.
        with_bias: Whether `bias` is added.
        **settings: See :func:`_layer_2`.
    """
    layer, used_bias = _layer_2(**settings), bias if with_bias else None
    if kernels.uses_torchvision('modulated_deform_conv', input.device.type):
        tensors = input, weight, offset, mask, used_bias
        output.copy_(kernels.deform_conv(*tensors, layer.as_sequence()))
        return
    samples = _Samples(input, offset, mask, layer)
    _forward(samples, weight, used_bias, output)


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool,
    **settings: int,
) -> None:
    """Add to the gradients of everything that the forward reads.

    The arguments are those of :func:`modulated_deform_conv_forward` and the
    gradients.
    """
    layer = _layer_2(**settings)
    if kernels.uses_torchvision('modulated_deform_conv', input.device.type):
        found = _kernel_backward(
            grad_output, input, weight, offset, mask, layer
        )
        grads = grad_input, grad_weight, grad_offset, grad_mask, grad_bias
        for grad, new in zip(grads if with_bias else grads[:4], found):
            grad += new
        return
    samples = _Samples(input, offset, mask, layer)
    _backward_input(
        samples, weight, grad_output, grad_input, grad_offset, grad_mask
    )
    grad = _backward_weight(samples, grad_output)
    grad_weight += _from_matrix(grad, grad_weight.shape)
    if with_bias:
        grad_bias += grad_output.to(grad.dtype).sum((0, 2, 3))
