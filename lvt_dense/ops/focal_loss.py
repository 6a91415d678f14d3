"""Focal losses (Lin et al., https://arxiv.org/abs/1708.02002).

The functions write into their last tensor, as mmcv's do. Half precision is
computed in float32. Shapes: N samples, C classes; a sigmoid target of C is
the background.
"""

import torch
from torch import Tensor

# The compiled kernels take logarithms of max(p, FLT_MIN).
_SMALLEST = torch.finfo(torch.float32).tiny


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=_SMALLEST).log()


def _widen(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _class_weight(weight: Tensor, target: Tensor) -> Tensor | float:
    """Return the weight of each sample's class, 1 for the background."""
    if weight.numel() == 0:
        return 1.0
    known = (target >= 0) & (target < weight.numel())
    picked = _widen(weight)[target.clamp(0, weight.numel() - 1)]
    return torch.where(known, picked, torch.ones_like(picked))


def _weigh(terms: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    by_class = _class_weight(weight, target)
    if isinstance(by_class, Tensor) and terms.dim() == 2:
        by_class = by_class[:, None]
    return terms * by_class


def _is_target(x: Tensor, target: Tensor) -> Tensor:
    classes = torch.arange(x.size(1), device=x.device)
    return target[:, None] == classes


def _write(
    out: Tensor,
    on_targets: Tensor,
    on_others: Tensor,
    weight: Tensor,
    target: Tensor,
) -> None:
    """Write the terms of targets and of other classes, weighted by class."""
    is_target = _is_target(out, target)
    terms = torch.where(is_target, on_targets, on_others)
    out.copy_(_weigh(terms, weight, target))


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each sample and class.

    Args:
        input: (N, C), logits.
        target: (N,), classes in 0..C, C is the background.
        weight: (C,), or empty.
        output: (N, C), written.
        gamma: Focusing exponent.
        alpha: Weight of the targets; 1 - alpha is that of the others.
    """
    p = _widen(input).sigmoid()
    q = 1 - p
    positive = -alpha * q.pow(gamma) * _log(p)
    negative = (alpha - 1) * p.pow(gamma) * _log(q)
    _write(output, positive, negative, weight, target)


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the gradient of the loss with respect to the logits.

    The arguments are those of :func:`sigmoid_focal_loss_forward`, and
    `grad_input`, (N, C), is written.
    """
    p = _widen(input).sigmoid()
    q = 1 - p
    positive = -alpha * q.pow(gamma) * (q - gamma * p * _log(p))
    negative = (alpha - 1) * p.pow(gamma) * (gamma * q * _log(q) - p)
    _write(grad_input, positive, negative, weight, target)


def _target_probability(softmax: Tensor, target: Tensor) -> Tensor:
    index = target.clamp(min=0)[:, None]
    return _widen(softmax).gather(1, index).squeeze(1)


def softmax_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each sample.

    Args:
        input: (N, C), probabilities (after the softmax).
        target: (N,), classes in 0..C-1; a negative one has no loss.
        weight: (C,), or empty.
        output: (N,), written.
        gamma: Focusing exponent.
        alpha: Weight of the loss.
    """
    p = _target_probability(input, target)
    loss = -alpha * (1 - p).pow(gamma) * _log(p)
    loss = torch.where(target >= 0, loss, torch.zeros_like(loss))
    output.copy_(_weigh(loss, weight, target))


def softmax_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the gradient of the loss with respect to the logits.

    The arguments are those of :func:`softmax_focal_loss_forward`; `buff`,
    (N,), the factor of each sample, and `grad_input`, (N, C), are written.
    """
    p = _target_probability(input, target)
    q = 1 - p
    factor = alpha * (gamma * q.pow(gamma - 1) * p * _log(p) - q.pow(gamma))
    factor = torch.where(target >= 0, factor, torch.zeros_like(factor))
    factor = _weigh(factor, weight, target)
    buff.copy_(factor)
    probabilities = _widen(input)
    target_mask = _is_target(input, target).to(probabilities.dtype)
    grad_input.copy_(factor[:, None] * (target_mask - probabilities))
