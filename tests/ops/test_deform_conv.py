"""Deformable convolutions against a plain loop, with gradients."""

import pytest
import torch
from helpers import plain_ops
from helpers.gradients import assert_same_with_gradients
from mmcv.ops import deform_conv2d, modulated_deform_conv2d
from torch import Tensor
from torch.nn import functional as F

from lvt_dense.ops import deform_conv as ops

pytestmark = pytest.mark.usefixtures('pure_ops')

# stride, padding, dilation, groups, deform_groups
LAYERS = [(1, 0, 1, 1, 1), (2, 1, 1, 2, 1), (1, 1, 2, 1, 2), (2, 2, 2, 2, 4)]


def make_inputs(layer: tuple, modulated: bool) -> list[Tensor]:
    """Make input, offset, (mask,) weight, (bias)."""
    torch.manual_seed(0)
    stride, padding, dilation, groups, deform_groups = layer
    x, weight = torch.randn(2, 4, 3, 4), torch.randn(2, 4 // groups, 2, 2)
    size = [
        (n + 2 * padding - dilation - 1) // stride + 1 for n in x.shape[2:]
    ]
    offset = torch.randn(2, 8 * deform_groups, *size)
    mask, bias = torch.rand(2, 4 * deform_groups, *size), torch.randn(2)
    inputs = (
        [x, offset, mask, weight, bias]
        if modulated
        else [
            x,
            offset,
            weight,
        ]
    )
    return [leaf.requires_grad_() for leaf in inputs]


@pytest.mark.parametrize('layer', LAYERS)
def test_version_1_equals_loop(layer: tuple) -> None:
    x, offset, weight = leaves = make_inputs(layer, modulated=False)
    found = deform_conv2d(x, offset, weight, *layer)
    expected = plain_ops.deform_conv(x, offset, None, weight, None, *layer)
    assert_same_with_gradients(found, expected, leaves)


@pytest.mark.parametrize('layer', LAYERS)
def test_version_2_equals_loop(layer: tuple) -> None:
    leaves = make_inputs(layer, modulated=True)
    assert_same_with_gradients(
        modulated_deform_conv2d(*leaves, *layer),
        plain_ops.deform_conv(*leaves, *layer),
        leaves,
    )


def test_no_bias() -> None:
    x, offset, mask, weight, bias = make_inputs(LAYERS[1], modulated=True)
    without = modulated_deform_conv2d(
        x, offset, mask, weight, None, *LAYERS[1]
    )
    with_bias = modulated_deform_conv2d(
        x, offset, mask, weight, bias, *LAYERS[1]
    )
    torch.testing.assert_close(without + bias.view(2, 1, 1), with_bias)


def test_zero_offsets_are_a_convolution() -> None:
    x, offset, weight = make_inputs(LAYERS[1], modulated=False)
    found = deform_conv2d(x, offset * 0, weight, *LAYERS[1])
    expected = F.conv2d(x, weight, None, 2, 1, 1, 2)
    assert_same_with_gradients(found, expected, [x, weight])


def test_parts_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = make_inputs(LAYERS[2], modulated=True)
    whole = modulated_deform_conv2d(*leaves, *LAYERS[2])
    expected = torch.autograd.grad(whole.square().sum(), leaves)
    monkeypatch.setattr(ops, '_MAX_COLUMNS', 50)
    parts = modulated_deform_conv2d(*leaves, *LAYERS[2])
    torch.testing.assert_close(parts, whole)
    for grad, other in zip(
        torch.autograd.grad(parts.square().sum(), leaves), expected
    ):
        torch.testing.assert_close(grad, other)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    leaves = make_inputs(LAYERS[0], modulated=True)
    low = [leaf.detach().to(dtype).requires_grad_() for leaf in leaves]
    full = [leaf.detach().float().requires_grad_() for leaf in low]
    found = modulated_deform_conv2d(*low, *LAYERS[0])
    expected = modulated_deform_conv2d(*full, *LAYERS[0])
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    grads = torch.autograd.grad(found.sum(), low)
    for grad, other in zip(grads, torch.autograd.grad(expected.sum(), full)):
        assert grad.dtype == dtype
        torch.testing.assert_close(grad.float(), other, rtol=0.05, atol=0.05)


def test_a_wrong_offset_is_named() -> None:
    x, offset, weight = make_inputs(LAYERS[0], modulated=False)
    with pytest.raises(RuntimeError, match=r'offset of shape \(2, 8, 2, 3\)'):
        deform_conv2d(x, offset[:, :4], weight, *LAYERS[0])
