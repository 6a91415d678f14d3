"""The feature pyramid of the Mask R-CNN of MobileViT's authors."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import ConvNormAct
from lvt_dense.registry import MODELS


@MODELS.register_module()
class TopDownFPN(BaseModule):
    """Feature pyramid whose finished levels are passed down (ml-cvnets v0.3).

    Every convolution is followed by a norm. A level is the 3x3 convolution of
    its own projection plus the finished level above; the coarsest one of the
    backbone is its projection alone. Further levels are strided 3x3
    convolutions, learned, and not maxima as in MMDetection's FPN.

    Args:
        in_channels: Channels of the backbone's levels, finest first.
        out_channels: Channels of every level of the pyramid.
        num_outs: Number of levels of the pyramid.
        norm_cfg: Norm after every convolution.
        init_cfg: Initialization; by default Kaiming's for convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outs: int = 5,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_out')
        )
        self.projections = nn.ModuleList(
            ConvNormAct(channels, out_channels, 1, norm_cfg=norm_cfg)
            for channels in in_channels
        )
        self.convs = nn.ModuleList(
            ConvNormAct(out_channels, out_channels, 3, norm_cfg=norm_cfg)
            for _ in in_channels
        )
        self.strided = nn.ModuleList(
            ConvNormAct(out_channels, out_channels, 3, 2, norm_cfg=norm_cfg)
            for _ in range(num_outs - len(in_channels))
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map the backbone's levels to the pyramid.

        Args:
            inputs: Maps (N, C_i, H_i, W_i), finest first.

        Returns:
            ``num_outs`` maps with ``out_channels`` channels, finest first.
        """
        maps = [f(x) for f, x in zip(self.projections, inputs, strict=True)]
        above = self.convs[-1](maps[-1])
        for level in range(len(maps) - 2, -1, -1):
            size = maps[level].shape[-2:]
            above = F.interpolate(above, size=size, mode='nearest')
            above = self.convs[level](maps[level] + above)
            maps[level] = above
        for conv in self.strided:
            maps.append(conv(maps[-1]))
        return tuple(maps)
