"""DLAUp: iterative deep aggregation of a pyramid into one stride-4 map.

Deep Layer Aggregation (Yu et al., CVPR 2018, section 3.2), in the form that
MonoCon uses: plain 3x3 convolutions, concatenation instead of a sum.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from lvt_dense.models.layers import fast_layout
from lvt_dense.registry import MODELS


class _UpNode(nn.Module):
    """Merges a map with the next finer one, at the finer one's size."""

    def __init__(
        self, in_channels: int, out_channels: int, norm_cfg: dict
    ) -> None:
        super().__init__()
        self.project = ConvModule(
            in_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg
        )
        self.up = nn.ConvTranspose2d(
            out_channels,
            out_channels,
            kernel_size=4,
            stride=2,
            padding=1,
            groups=out_channels,
            bias=False,
        )
        bilinear = torch.tensor([0.25, 0.75, 0.75, 0.25])
        self.up.weight.data.copy_(bilinear[:, None] * bilinear)
        self.merge = ConvModule(
            2 * out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        height, width = fine.shape[-2:]
        # A pyramid rounds odd sizes up, so doubling may overshoot by one.
        raised = self.up(self.project(coarse))[..., :height, :width]
        return self.merge(torch.cat((fine, raised), 1))


@MODELS.register_module()
class DLAUp(BaseModule):
    """Aggregates the levels of a pyramid, coarse to fine, into the finest.

    Round k takes in one more level, and raises every coarser map one level::

        stride  4   C1 ─────────────────────────> o ─> o ─> o ─> out
        stride  8   C2 ───────────> o ─> o ─────> ^    ^    ^
        stride 16   C3 ─> o ──────> ^    ^
        stride 32   C4 ─> ^

    A node ``o`` projects the coarser map with a 3x3 convolution, doubles it
    with a depthwise transposed convolution that starts out bilinear,
    concatenates the finer one, and merges with a 3x3 convolution.

    Args:
        in_channels: channels of the levels, finest first; every level has
            half the resolution (rounded up) of the one before.
        norm_cfg: normalization of the convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        channels = list(in_channels)
        self.rounds = nn.ModuleList()
        for level in reversed(range(len(channels) - 1)):
            width = channels[level]
            self.rounds.append(
                nn.ModuleList(
                    _UpNode(below, width, norm_cfg)
                    for below in channels[level + 1 :]
                )
            )
            channels[level + 1 :] = [width] * len(channels[level + 1 :])

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Map (N, C_i, H_i, W_i), finest first, to ((N, C_0, H_0, W_0),)."""
        maps: list[Tensor] = [fast_layout(x) for x in inputs]
        nodes: Any
        for count, nodes in enumerate(self.rounds):
            fine = len(maps) - 2 - count
            for i, node in enumerate(nodes, fine + 1):
                maps[i] = node(maps[i], maps[i - 1])
        return (maps[-1],)
