"""Squeeze and excitation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .conv import ConvNormAct


class SqueezeExcite(nn.Module):
    """Scale every channel by a gate that is computed from all channel means.

    Source: J. Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.

    Args:
        channels: Channels of the map.
        hidden: Width between the two layers of the gate.
        act_cfg: Activation between them.
        gate: Maps the result to the gate, from 0 to 1.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        act_cfg: dict,
        gate: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.gate = gate
        self.reduce = ConvNormAct(channels, hidden, 1, act_cfg=act_cfg)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        gate = self.expand(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * self.gate(gate)
