"""Losses of the monocular 3D heads.

All of them are means over the objects of a batch, and a plain zero that
still reaches the predictions when there are none: a distributed step must
touch every parameter, objects or not.

A mask says which rows count, so that no step has to wait for a GPU to tell
how many there are. Targets of the others may be anything, even NaN.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Average the values under a mask; 0 if there are none.

    Args:
        values: (...).
        mask: Bool, of the leading dimensions of ``values``, or broadcast to
            all of them; None for everything.
    """
    if mask is None:
        return values.sum() / max(values.numel(), 1)
    mask = _expand(mask, values)
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def _expand(mask: Tensor, like: Tensor) -> Tensor:
    missing = like.dim() - mask.dim()
    return mask.view(*mask.shape, *[1] * missing).expand_as(like)


def _hide(target: Tensor, pred: Tensor, mask: Tensor | None) -> Tensor:
    """Replace targets that do not count by the predictions themselves."""
    if mask is None:
        return target
    return torch.where(_expand(mask, target), target, pred.detach())


def mean_l1(
    pred: Tensor, target: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Average the absolute difference of two tensors; 0 if empty."""
    return masked_mean((pred - _hide(target, pred, mask)).abs(), mask)


def row_smooth_l1(
    pred: Tensor, target: Tensor, beta: float, mask: Tensor | None = None
) -> Tensor:
    """Sum smooth L1 over columns and average it over rows; 0 if empty.

    Args:
        pred: (M, ...).
        target: (M, ...).
        beta: Where the loss turns from quadratic to linear.
        mask: (M,) bool, None for all.
    """
    target = _hide(target, pred, mask)
    loss = F.smooth_l1_loss(pred, target, beta=beta, reduction='none')
    return masked_mean(loss.flatten(1).sum(1), mask)


def dimension_aware_l1(
    pred: Tensor, target: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Compute L1 with errors relative to the size they are made on.

    Every difference is divided by the predicted size (as a constant), and
    the sum rescaled to the value of the plain L1: MonoDLE (Ma et al., CVPR
    2021). Sizes below 0.1 m, which an untrained network predicts, count as
    0.1 m; a negative one would turn the gradient round.

    Args:
        pred: (M, 3) length, height, width in meters.
        target: (M, 3).
        mask: (M,) bool, None for all.
    """
    target = _hide(target, pred, mask)
    relative = (pred - target).abs() / pred.detach().clamp(min=0.1)
    plain = mean_l1(pred, target, mask)
    total = relative.sum()
    return total * (plain / total.clamp(min=1e-9)).detach()


def laplacian_depth_loss(
    depth: Tensor,
    log_sigma: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Compute the negative log-likelihood of depths, as Laplacians.

    ``sqrt(2) / sigma * |depth - target| + log(sigma)``: MonoPair (Chen et
    al., CVPR 2020). May be negative.

    Args:
        depth: (M,) in meters.
        log_sigma: (M,) log of the standard deviation in meters.
        target: (M,) in meters.
        mask: (M,) bool, None for all.
    """
    error = (depth - _hide(target, depth, mask)).abs()
    nll = math.sqrt(2) * torch.exp(-log_sigma) * error + log_sigma
    return masked_mean(nll, mask)


def uncertain_smooth_l1(
    pred: Tensor,
    target: Tensor,
    log_weight: Tensor,
    beta: float,
    mask: Tensor | None = None,
) -> Tensor:
    """Compute smooth L1 with a predicted uncertainty per object.

    ``exp(-log_weight) * smooth_l1(pred, target) + log_weight``: PGD (Wang et
    al., CoRL 2021). May be negative.

    Args:
        pred: (M,).
        target: (M,).
        log_weight: (M,).
        beta: Where the loss turns from quadratic to linear.
        mask: (M,) bool, None for all.
    """
    target = _hide(target, pred, mask)
    error = F.smooth_l1_loss(pred, target, beta=beta, reduction='none')
    loss = torch.exp(-log_weight) * error + log_weight
    return masked_mean(loss, mask)
