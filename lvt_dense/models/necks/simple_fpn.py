"""SimpleFPN: a pyramid from the stride-16 maps of a plain transformer.

Y. Li et al., "Exploring Plain Vision Transformer Backbones for Object
Detection" (ViTDet), ECCV 2022, Section 3 and Appendix A.2.
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import LayerNorm2d
from lvt_dense.registry import MODELS

NUM_SCALES = 4  # strides 4, 8, 16 and 32


def _rescale(channels: int, level: int) -> tuple[nn.Module, int]:
    """Make a layer from stride 16 to ``4 * 2 ** level``."""
    half, quarter = channels // 2, channels // 4
    if level == 0:
        layers = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, 2),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, 2),
        )
        return layers, quarter
    if level == 1:
        return nn.ConvTranspose2d(channels, half, 2, 2), half
    if level == 2:
        return nn.Identity(), channels
    return nn.MaxPool2d(2, ceil_mode=True), channels


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """Rescales stride-16 maps to strides 4 to 32, each on its own.

    A single map, the last of the backbone, feeds every level, as in ViTDet.
    Four maps, from a quarter of the blocks each, feed one level each, the
    shallowest the finest: the rule of BEiT's segmentation models. Either way
    no level sees another one. Strides 64 and more are subsampled.

    The finer levels are exact multiples of the given maps: pad the images to
    multiples of 32 (``pad_size_divisor`` of the data preprocessor).

    Args:
        in_channels: Channels of the one map, an int, or of the four.
        out_channels: Channels of every level.
        num_outs: Number of levels, 4 or more.
        out_indices: Levels to return, ascending; all of them by default.
        init_cfg: Initialization as in MMEngine.

    Raises:
        ValueError: ``in_channels`` has neither one nor four entries,
            ``num_outs`` is below 4, or there are no such levels.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int = 256,
        num_outs: int = 5,
        out_indices: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if isinstance(in_channels, int):
            in_channels = [in_channels]
        channels = list(in_channels)
        if len(channels) not in (1, NUM_SCALES):
            raise ValueError(
                f'SimpleFPN: in_channels={tuple(channels)}; give the channels '
                f'of one map or of {NUM_SCALES}'
            )
        if num_outs < NUM_SCALES:
            raise ValueError(
                f'SimpleFPN: num_outs={num_outs}; give {NUM_SCALES} or more'
            )
        self.out_indices = tuple(out_indices or range(num_outs))
        if not {*self.out_indices} <= {*range(num_outs)}:
            raise ValueError(
                f'SimpleFPN: out_indices={out_indices}; give some of 0 to '
                f'{num_outs - 1}'
            )
        self.num_maps = len(channels)
        needed = {min(i, NUM_SCALES - 1) for i in self.out_indices}
        self.levels = nn.ModuleDict()
        for level in sorted(needed):
            rescale, width = _rescale(channels[level % len(channels)], level)
            self.levels[str(level)] = nn.Sequential(
                rescale,
                nn.Conv2d(width, out_channels, 1, bias=False),
                LayerNorm2d(out_channels),
                nn.Conv2d(
                    out_channels, out_channels, 3, padding=1, bias=False
                ),
                LayerNorm2d(out_channels),
            )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            inputs: One map or four, (N, C_i, H, W), at stride 16.

        Returns:
            Maps (N, out_channels, H_i, W_i) of the levels, at strides 4, 8,
            ...: 4 H x 4 W for the finest; from stride 32 on they are rounded
            up.
        """
        assert len(inputs) == self.num_maps
        outs = {
            int(level): layers(inputs[int(level) % self.num_maps])
            for level, layers in self.levels.items()
        }
        for level in range(NUM_SCALES, self.out_indices[-1] + 1):
            outs[level] = F.max_pool2d(outs[level - 1], 1, 2)
        return tuple(outs[i] for i in self.out_indices)
