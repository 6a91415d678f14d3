"""Layer normalization of feature maps."""

from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.registry import MODELS


@MODELS.register_module('LN2d')
class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map, pixel by pixel.

    The result is in channels-last memory format, so that a map in that format
    is never copied.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(
            x, self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2)
