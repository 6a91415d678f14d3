"""The adaptive alpha-divergence of in-place distillation.

Source: D. Wang et al., "AlphaNet: Improved Training of Supernets with
Alpha-Divergence", ICML 2021, as NASViT's code has it: alpha is -1 or +1,
whichever divergence is larger for a sample.
"""

from typing import NamedTuple

import torch
from torch import Tensor

CLIP = 5.0  # of the importance weights for alpha -1


class Divergence(NamedTuple):
    """Divergence of each sample.

    Attributes:
        value: The divergence itself, without a gradient.
        loss: What to minimize: its gradient is that of the divergence, its
            value means nothing.
    """

    value: Tensor
    loss: Tensor


def alpha_divergence(
    student: Tensor, teacher: Tensor, clip: float = CLIP
) -> Divergence:
    """Compare two distributions over the last axis.

    With the student's probabilities q and the teacher's p, the divergence is
    KL(p, q) for alpha 1, and (sum of q min(q / p, clip) - 1) / 2 for alpha -1.
    The first is large where the student misses a class, the second where it
    sees one that is not there. Gradients flow through log q alone.

    Args:
        student: Logits, (..., classes).
        teacher: Logits of the same shape.
        clip: Largest importance weight for alpha -1.

    Returns:
        Divergences of shape (...).
    """
    log_q = student.log_softmax(-1)
    with torch.no_grad():
        log_p = teacher.log_softmax(-1)
        log_ratio = log_p - log_q
        p, q = log_p.exp(), log_q.exp()
        weight = (-log_ratio).exp().clamp(max=clip)
        missing = (p * log_ratio).sum(-1)
        extra = (q * (weight - 1) / 2).sum(-1)
        is_extra = extra > missing
        factor = torch.where(is_extra[..., None], q * (0.5 - weight), p)
    return Divergence(
        torch.where(is_extra, extra, missing), -(factor * log_q).sum(-1)
    )


def binary_logits(logits: Tensor) -> Tensor:
    """Turn logits of yes or no into those of two classes, (..., 2)."""
    return torch.stack([logits, torch.zeros_like(logits)], -1)
