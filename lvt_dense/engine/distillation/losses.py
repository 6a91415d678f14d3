"""Distances between what a student and its teacher compute.

All are computed in float32, and are 0 where both agree.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_EPS = 1e-6  # least standard deviation that is divided by


def channel_wise_divergence(
    ours: Tensor, theirs: Tensor, temperature: float
) -> Tensor:
    """Compare where each channel looks.

    Each channel of each image becomes a distribution over the positions, by
    a softmax; the loss is the Kullback-Leibler divergence of the two, as a
    mean over images and channels, times the square of the temperature.

    Source: C. Shu et al., "Channel-wise Knowledge Distillation for Dense
    Prediction", ICCV 2021.

    Args:
        ours: (N, C, H, W).
        theirs: (N, C, H, W).
        temperature: Above 0; more looks at more positions.

    Returns:
        The loss, a scalar.
    """
    found = softmax_divergence(
        ours.flatten(2), theirs.flatten(2), temperature, dim=2
    )
    return found.mean()


def pearson_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Compare features regardless of their scale and offset.

    Each channel is standardized over images and positions. Half of the mean
    squared difference is then one minus Pearson's correlation, as a mean over
    the channels.

    Source: W. Cao et al., "PKD: General Distillation Framework for Object
    Detectors via Pearson Correlation Coefficient", NeurIPS 2022.

    Args:
        ours: (N, C, H, W).
        theirs: (N, C, H, W).

    Returns:
        The loss, a scalar in [0, 2].
    """
    return F.mse_loss(_standardize(ours), _standardize(theirs)) / 2


def _standardize(features: Tensor) -> Tensor:
    features = features.float()
    mean = features.mean((0, 2, 3), keepdim=True)
    # That of the population: one position is no reason for a NaN.
    std = features.std((0, 2, 3), correction=0, keepdim=True)
    return (features - mean) / (std + _EPS)


def softmax_divergence(
    ours: Tensor, theirs: Tensor, temperature: float = 1.0, dim: int = -1
) -> Tensor:
    """Compute the divergence of softmax distributions from the teacher's.

    Source: G. Hinton et al., "Distilling the Knowledge in a Neural Network",
    2015: with a temperature, and times its square, so that the gradients do
    not shrink with it.

    Args:
        ours: Logits.
        theirs: Logits of the same shape.
        temperature: Above 0.
        dim: Dimension of the classes.

    Returns:
        Kullback-Leibler divergences, of the shape without ``dim``.
    """
    ours, theirs = (
        F.log_softmax(x.float() / temperature, dim) for x in (ours, theirs)
    )
    return temperature**2 * (theirs.exp() * (theirs - ours)).sum(dim)


def sigmoid_divergence(
    ours: Tensor, theirs: Tensor, temperature: float = 1.0
) -> Tensor:
    """Compute the divergence of probabilities from the teacher's.

    It is the binary cross entropy with the teacher's probabilities as
    targets, less their entropy, times the square of the temperature.

    Args:
        ours: Logits.
        theirs: Logits of the same shape.
        temperature: Above 0.

    Returns:
        Kullback-Leibler divergences, element by element.
    """
    ours, theirs = ours.float() / temperature, theirs.float() / temperature
    yes = theirs.sigmoid() * (F.logsigmoid(theirs) - F.logsigmoid(ours))
    no = (-theirs).sigmoid() * (F.logsigmoid(-theirs) - F.logsigmoid(-ours))
    return temperature**2 * (yes + no)


def union(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the probability that at least one of two sees an object.

    It weighs positions: most are background, on which both agree, and which
    would drown the others in a plain mean.

    Args:
        ours: Probabilities; no gradient flows back through them.
        theirs: Probabilities of the same shape.
    """
    return 1 - (1 - ours.detach().float()) * (1 - theirs.float())


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean with weights, and 0 where all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp(min=_EPS)


def resize_like(theirs: Tensor, ours: Tensor) -> Tensor:
    """Resize maps of the teacher to the student's height and width."""
    if theirs.shape[-2:] == ours.shape[-2:]:
        return theirs
    return F.interpolate(
        theirs.float(), ours.shape[-2:], mode='bilinear', align_corners=False
    ).to(theirs.dtype)


def logit(probabilities: Tensor) -> Tensor:
    """Return logits of probabilities, finite also for 0 and 1."""
    return torch.logit(probabilities.float(), eps=1e-4)
