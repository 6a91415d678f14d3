"""Precision of sums that overflow or lose digits in half precision."""

import torch
from torch import Tensor


def at_least_single(x: Tensor) -> Tensor:
    """Convert to float32, but leave float64 as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
