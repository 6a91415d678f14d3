"""The extra levels of SSDLite in the MobileViT paper."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import ConvNormAct
from lvt_dense.registry import MODELS


class StridedSeparable(nn.Sequential):
    """Depthwise 3x3 of stride 2 with norm, then 1x1 with norm and ReLU."""

    def __init__(self, given: int, out: int, norm_cfg: dict) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(
            given, given, 3, 2, groups=given, norm_cfg=norm_cfg
        )
        self.pointwise = ConvNormAct(
            given, out, 1, norm_cfg=norm_cfg, act_cfg=dict(type='ReLU')
        )


@MODELS.register_module()
class SSDExtraLayers(BaseModule):
    """Levels beyond the backbone's (MobileViT paper, Appendix C).

    Each level halves the one before with a separable convolution; the last
    is the mean of the map, one cell whatever the input size.

    Args:
        in_channels: Channels of the backbone's levels; all are passed on.
        extra_channels: Channels of the strided levels, and of the last one.
        norm_cfg: Norm of the strided levels.
        init_cfg: Initialization; by default Xavier for convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        extra_channels: Sequence[int] = (256, 128, 128, 64),
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or dict(type='Xavier', layer='Conv2d', distribution='uniform')
        )
        *strided, last = extra_channels
        widths = [in_channels[-1], *strided]
        self.strided = nn.ModuleList(
            StridedSeparable(given, out, norm_cfg)
            for given, out in zip(widths, strided)
        )
        self.pooled = nn.Conv2d(widths[-1], last, 1, bias=False)

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Append the extra levels to the backbone's (N, C, H, W) maps."""
        outs = list(inputs)
        for layer in self.strided:
            outs.append(layer(outs[-1]))
        mean = F.adaptive_avg_pool2d(outs[-1], 1)
        outs.append(F.relu(self.pooled(mean)))
        return tuple(outs)
