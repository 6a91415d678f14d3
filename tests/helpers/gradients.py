"""Compare operators with a plain form, gradients included."""

from collections.abc import Callable

import torch
from torch import Tensor


def with_gradients(
    function: Callable, leaves: list[Tensor], *rest: object
) -> list[Tensor]:
    """Return what a function gives, and the gradients of a weighted mean.

    Args:
        function: What is called with the leaves and the rest.
        leaves: Tensors of which there will be gradients.
        *rest: Other arguments.
    """
    leaves = [leaf.requires_grad_() for leaf in leaves]
    output = function(*leaves, *rest)
    factor = torch.arange(1.0, output.numel() + 1, device=output.device)
    loss = (output * factor.view_as(output)).sum() / max(1, output.numel())
    return [output, *torch.autograd.grad(loss, leaves)]


def assert_same_with_gradients(
    found: Tensor, expected: Tensor, leaves: list[Tensor]
) -> None:
    """Compare the values, and the gradients of a weighted sum.

    Args:
        found: Computed from the leaves.
        expected: Computed from the leaves in another way.
        leaves: Tensors that require gradients.
    """
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    factor = torch.arange(1.0, found.numel() + 1).view_as(found) / 10
    grads = [
        torch.autograd.grad((out * factor).sum(), leaves)
        for out in (found, expected)
    ]
    for grad, plain in zip(*grads):
        torch.testing.assert_close(grad, plain, rtol=1e-5, atol=1e-4)
