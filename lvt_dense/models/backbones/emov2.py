"""EMOv2: EMO with an attention that spans near and remote pixels.

Paper: J. Zhang et al., "EMOv2: Pushing 5M Vision Model Frontier", TPAMI 2025,
arXiv 2412.06674. The network is that of the paper's code (zhangzjn/EMOv2);
written anew.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.checkpoints import published
from lvt_dense.checkpoints.emov2 import LAYOUTS
from lvt_dense.models.layers import ConvNormAct
from lvt_dense.registry import MODELS

from .emo import EMO, InvertedResidualMobileBlock, PerStage
from .emov2_attention import SpanningAttention


class SpanningMobileBlock(InvertedResidualMobileBlock):
    """i2RMB: EMO's block with near and remote attention to expanded values.

    The expansion comes first here: attention averages its values, in windows
    of near and of remote pixels, and the results are added. A scale of each
    channel follows the projection.

    Args:
        layer_scale: Initial value of the scale.
        **arguments: See :class:`InvertedResidualMobileBlock`.
    """

    def __init__(self, *, layer_scale: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        shape = (1, self.project.out_channels, 1, 1)
        self.layer_scale = nn.Parameter(torch.full(shape, layer_scale))

    def expand(self, x: Tensor) -> Tensor:
        """Map the normalized (N, C, H, W) to (N, hidden, H, W)."""
        if self.head_dim is None:
            return self.value(x)
        channels = x.shape[1]
        attention = SpanningAttention(
            x.shape[2:], self.window_size, channels // self.head_dim
        )
        padding = None
        if attention.leaves_out:
            pixel = x.new_zeros(1, channels, 1, 1)
            key = self.query_key(pixel)[:, channels:]
            padding = key, self.value(pixel)
        x = attention.pad(x)
        query, key = self.query_key(x).chunk(2, 1)
        return attention.attend(query, key, self.value(x), padding)

    def reduce(self, x: Tensor) -> Tensor:
        """Map (N, hidden, H', W') to (N, C', H', W'), and scale it."""
        # Scaling the weights is faster than scaling the map.
        scale = self.layer_scale.transpose(0, 1)
        return F.conv2d(x, self.project.weight * scale)


@MODELS.register_module()
class EMOv2(EMO):
    """EMOv2 as a pyramid; levels 0 to 3 are the official stage1 .. stage4.

    What :class:`EMO` says of levels, windows and output strides holds here,
    too. Official models take windows of 7 for ImageNet at 224 pixels, 8 at
    256 and 512, and 10 for detection and segmentation.

    The authors start the layer scales at 1e-6. From random weights this
    silences the levels: the first block of a stage has no shortcut, so they
    start at a deviation of 1e-6 to 3e-11, with 1.0 at 2 to 6. AdamW moves the
    scales by its rate whatever they are: DeepLabv3 on EMOv2-1M, trained for
    184 iterations on CamVid at a rate of 1e-3, reached 20.2 mIoU from 1e-6
    and 18.9 from 1.0 (one run each, ``projects/frontier``). The default of
    1.0 does not rely on the optimizer for that.

    Args:
        arch: '1m', '2m', '5m', '20m' or '50m', or a dict with the keys
            ``depths``, ``channels``, ``expand_ratios``, ``head_dims`` (of the
            four stages) and ``drop_path_rate``. The stem has half the
            channels of the first stage.
        window_size: Side of the attention windows in pixels of the map, for
            all stages or one for each; below 1 for global attention.
        layer_scale: Initial value of the scales after the blocks, which
            loaded weights replace. The official 1e-6 leaves heads without
            norms next to nothing to see: the levels of a network with random
            weights have its magnitude. DeepLabv3 on CamVid from random
            weights, 734 iterations, one run each, reached an mIoU of 40.2
            from 1e-6, 38.0 from 1e-2, and 30.4 from 1.
        norm_cfg: Norm of the convolutions; its eps is 1e-6 unless given.
        act_cfg: Activation of stem and depthwise convolutions.
        stage_norm_cfgs: Norm of the input of the blocks of each stage;
            ``None`` takes ``norm_cfg`` in the first two and layer norm in
            the others.
        stage_act_cfgs: Activation of the expansion of each stage; ``None``
            takes SiLU in the first two and GELU in the others.
        **shared: ``out_indices``, ``output_stride``, ``frozen_stages``,
            ``norm_eval``, ``with_cp``, ``in_channels``, ``drop_path_rate`` and
            ``init_cfg``, see :class:`PyramidBackbone`.

    Raises:
        UserError: An argument is not one of those there are, or a per-stage
            one has not four entries.
    """

    family = 'emov2'
    default_arch = '5m'
    layouts = LAYOUTS
    kernel_sizes = (5, 5, 5, 5)
    arch_settings = {
        '1m': dict(
            depths=(2, 2, 8, 3),
            channels=(32, 48, 80, 180),
            expand_ratios=(2.0, 2.5, 3.0, 3.5),
            head_dims=(16, 16, 20, 20),
            drop_path_rate=0.04036,
        ),
        '2m': dict(
            depths=(3, 3, 9, 3),
            channels=(32, 48, 120, 200),
            expand_ratios=(2.0, 2.5, 3.0, 3.5),
            head_dims=(16, 16, 20, 20),
            drop_path_rate=0.05,
        ),
        '5m': dict(
            depths=(3, 3, 9, 3),
            channels=(48, 72, 160, 288),
            expand_ratios=(2.0, 3.0, 4.0, 4.0),
            head_dims=(16, 24, 32, 32),
            drop_path_rate=0.05,
        ),
        '20m': dict(
            depths=(3, 3, 13, 3),
            channels=(64, 128, 320, 448),
            expand_ratios=(2.0, 3.0, 4.0, 4.0),
            head_dims=(16, 32, 32, 32),
            drop_path_rate=0.1,
        ),
        '50m': dict(
            depths=(5, 8, 20, 7),
            channels=(64, 128, 384, 512),
            expand_ratios=(2.0, 3.0, 4.0, 4.0),
            head_dims=(16, 32, 32, 32),
            drop_path_rate=0.2,
        ),
    }
    weights = published.EMOV2

    def __init__(
        self,
        arch: str | dict = default_arch,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        *,
        window_size: PerStage = 10,
        layer_scale: float = 1e-2,
        **others: Any,
    ) -> None:
        super().__init__(arch, out_indices, window_size=window_size, **others)
        self.layer_scale = layer_scale

    @property
    def stem_channels(self) -> int:
        """Channels at stride 2."""
        return self.stage_channels[0] // 2

    def make_stem(self) -> nn.Module:
        """Create the official ``stage0``, up to stride 2."""
        width = self.stem_channels
        common: dict[str, Any] = dict(
            norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
        )
        return nn.Sequential(
            ConvNormAct(self.in_channels, width, 3, 2, bias=True, **common),
            ConvNormAct(width, width, 3, groups=width, **common),
            nn.Conv2d(width, width, 1, bias=False),
        )

    def make_block(self, **arguments: Any) -> SpanningMobileBlock:
        """Create a block."""
        return SpanningMobileBlock(layer_scale=self.layer_scale, **arguments)
