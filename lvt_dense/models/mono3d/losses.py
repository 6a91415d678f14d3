"""Losses of the monocular 3D heads.

All of them are means over the objects of a batch, and a plain zero that
still reaches the predictions when there are none: a distributed step must
touch every parameter, objects or not.
"""

import math

import torch
from mmdet.models.losses import smooth_l1_loss
from torch import Tensor


def mean_l1(pred: Tensor, target: Tensor) -> Tensor:
    """Average the absolute difference of two tensors; 0 if empty."""
    return (pred - target).abs().sum() / max(pred.numel(), 1)


def row_smooth_l1(pred: Tensor, target: Tensor, beta: float) -> Tensor:
    """Sum smooth L1 over columns and average it over rows; 0 if empty.

    Args:
        pred: (M, ...).
        target: (M, ...).
        beta: Where the loss turns from quadratic to linear.
    """
    total = smooth_l1_loss(pred, target, beta=beta, reduction='sum')
    return total / max(len(pred), 1)


def masked_l1(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Average the absolute difference where a mask is set; 0 if nowhere.

    Args:
        pred: (...).
        target: (...); may be anything, even inf, where the mask is not set.
        mask: Bool, broadcast to (...).
    """
    mask = mask.expand_as(pred)
    return mean_l1(pred[mask], target[mask])


def dimension_aware_l1(pred: Tensor, target: Tensor) -> Tensor:
    """Compute L1 with errors relative to the size they are made on.

    Every difference is divided by the predicted size (as a constant), and
    the sum rescaled to the value of the plain L1: MonoDLE (Ma et al., CVPR
    2021). Sizes below 0.1 m, which an untrained network predicts, count as
    0.1 m; a negative one would turn the gradient round.

    Args:
        pred: (M, 3) length, height, width in meters.
        target: (M, 3).
    """
    relative = (pred - target).abs() / pred.detach().clamp(min=0.1)
    plain = mean_l1(pred, target)
    total = relative.sum()
    return total * (plain / total.clamp(min=1e-9)).detach()


def laplacian_depth_loss(
    depth: Tensor, log_sigma: Tensor, target: Tensor
) -> Tensor:
    """Compute the negative log-likelihood of depths, as Laplacians.

    ``sqrt(2) / sigma * |depth - target| + log(sigma)``: MonoPair (Chen et
    al., CVPR 2020). May be negative.

    Args:
        depth: (M,) in meters.
        log_sigma: (M,) log of the standard deviation in meters.
        target: (M,) in meters.
    """
    error = (depth - target).abs()
    nll = math.sqrt(2) * torch.exp(-log_sigma) * error + log_sigma
    return nll.sum() / max(nll.numel(), 1)


def uncertain_smooth_l1(
    pred: Tensor, target: Tensor, log_weight: Tensor, beta: float
) -> Tensor:
    """Compute smooth L1 with a predicted uncertainty per object.

    ``exp(-log_weight) * smooth_l1(pred, target) + log_weight``: PGD (Wang et
    al., CoRL 2021). May be negative.

    Args:
        pred: (M,).
        target: (M,).
        log_weight: (M,).
        beta: Where the loss turns from quadratic to linear.
    """
    error = smooth_l1_loss(pred, target, beta=beta, reduction='none')
    loss = torch.exp(-log_weight) * error + log_weight
    return loss.sum() / max(loss.numel(), 1)
