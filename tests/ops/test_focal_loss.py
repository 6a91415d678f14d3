"""Focal losses against a plain loop, gradients by autograd of the loop."""

import pytest
import torch
from helpers import plain_ops
from torch import Tensor

from lvt_dense.ops import focal_loss as ops


def _class_weights(weighted: bool) -> Tensor:
    return torch.rand(4) + 0.5 if weighted else torch.zeros(0)


@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('gamma', [0.0, 1.5, 2.0])
def test_sigmoid_equals_loop(gamma: float, weighted: bool) -> None:
    torch.manual_seed(0)
    x = (torch.randn(6, 4) * 3).requires_grad_()
    target = torch.tensor([0, 3, 4, 1, 4, 2])
    weight = _class_weights(weighted)
    expected = plain_ops.sigmoid_focal_loss(x, target, gamma, 0.25, weight)
    expected.sum().backward()
    output, grad = torch.zeros_like(x), torch.zeros_like(x)
    args = x.detach(), target, weight
    ops.sigmoid_focal_loss_forward(*args, output.detach(), gamma, 0.25)
    ops.sigmoid_focal_loss_backward(*args, grad.detach(), gamma, 0.25)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(grad, x.grad)


@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('gamma', [1.0, 1.5, 2.0])
def test_softmax_equals_loop(gamma: float, weighted: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 4).requires_grad_()
    target = torch.tensor([0, 3, -1, 1, 2])
    weight = _class_weights(weighted)
    expected = plain_ops.softmax_focal_loss(x, target, gamma, 0.25, weight)
    expected.sum().backward()
    p = x.detach().softmax(1)
    output, grad, buff = torch.zeros(5), torch.zeros(5, 4), torch.zeros(5)
    ops.softmax_focal_loss_forward(p, target, weight, output, gamma, 0.25)
    ops.softmax_focal_loss_backward(p, target, weight, buff, grad, gamma, 0.25)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(grad, x.grad)


def test_saturated_logits_stay_finite() -> None:
    x, target = torch.tensor([[200.0, -200.0]]), torch.tensor([1])
    output, grad = torch.zeros(1, 2), torch.zeros(1, 2)
    args = x, target, torch.zeros(0)
    ops.sigmoid_focal_loss_forward(*args, output, 2.0, 0.25)
    ops.sigmoid_focal_loss_backward(*args, grad, 2.0, 0.25)
    assert output.isfinite().all()
    assert grad.isfinite().all()
    assert output.min() > 10


def test_half_precision() -> None:
    torch.manual_seed(0)
    x, target = torch.randn(6, 4), torch.tensor([0, 3, 4, 1, 4, 2])
    low = torch.zeros(6, 4, dtype=torch.float16)
    full = torch.zeros(6, 4)
    ops.sigmoid_focal_loss_forward(
        x.half(), target, torch.zeros(0).half(), low, 2.0, 0.25
    )
    ops.sigmoid_focal_loss_forward(x, target, torch.zeros(0), full, 2.0, 0.25)
    torch.testing.assert_close(low.float(), full, rtol=1e-2, atol=1e-3)
