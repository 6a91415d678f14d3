"""MobileViT: light-weight, general-purpose, mobile-friendly transformer.

Paper: S. Mehta and M. Rastegari, "MobileViT", ICLR 2022, arXiv 2110.02178.
The network is that of the paper's code (apple/ml-cvnets v0.1), with the dense
settings of its detection and segmentation models; written anew.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.checkpoints import published
from lvt_dense.checkpoints.mobilevit import LAYOUTS
from lvt_dense.checkpoints.records import UNIT_BGR
from lvt_dense.models.layers import (
    Attention,
    ConvNormAct,
    InvertedResidual,
    Windows,
)
from lvt_dense.models.layers.windows import is_size_free
from lvt_dense.registry import MODELS

from .base import PyramidBackbone

PATCH = 2  # side of a patch, in pixels of the feature map
NUM_HEADS = 4
DEPTHS = (0, 2, 4, 3)  # encoders of a stage
EXTRA_RESIDUALS = (2, 0, 0, 0)  # inverted residuals after the first one


class Encoder(nn.Module):
    """Pre-norm transformer encoder layer with a SiLU feed-forward network."""

    def __init__(
        self, channels: int, hidden: int, dropout: float, drop_path_rate: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = Attention(channels, NUM_HEADS)
        self.norm2 = nn.LayerNorm(channels)
        self.ffn = nn.Sequential(
            nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, channels)
        )
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        x = x + self.drop_path(self.dropout(self.attn(self.norm1(x))))
        return x + self.drop_path(self.dropout(self.ffn(self.norm2(x))))


class MobileViTBlock(nn.Module):
    """Local convolution, then attention across patches (paper, Section 3.1).

    Pixels at the same place of every 2x2 patch attend to each other: the map
    is seen as four interleaved grids of half the resolution. A map of odd
    size is resized up to the next even one for the encoders, and back.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        dropout: float,
        drop_path_rates: Sequence[float],
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        norm_act: dict[str, Any] = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.local = ConvNormAct(channels, channels, 3, **norm_act)
        self.to_tokens = nn.Conv2d(channels, width, 1, bias=False)
        self.encoders = nn.Sequential(
            *(
                Encoder(width, 2 * width, dropout, rate)
                for rate in drop_path_rates
            )
        )
        self.norm = nn.LayerNorm(width)
        self.from_tokens = ConvNormAct(width, channels, 1, **norm_act)
        self.fuse = ConvNormAct(2 * channels, channels, 3, **norm_act)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        tokens = self.to_tokens(self.local(x))
        size = tokens.shape[2:]
        even = [side + side % PATCH for side in size]
        # An exported graph is to serve maps of odd size too.
        is_resized = is_size_free(size) or even != list(size)
        if is_resized:
            tokens = F.interpolate(tokens, even, mode='bilinear')
        tokens = self._encode(tokens)
        if is_resized:
            tokens = F.interpolate(tokens, size, mode='bilinear')
        return self.fuse(torch.cat([x, self.from_tokens(tokens)], dim=1))

    def _encode(self, x: Tensor) -> Tensor:
        windows = Windows.even(x.shape[2:], None, step=PATCH)
        tokens = self.encoders(windows.split(x.permute(0, 2, 3, 1)))
        return windows.merge(self.norm(tokens)).permute(0, 3, 1, 2)


@MODELS.register_module()
class MobileViT(PyramidBackbone):
    """MobileViT as a pyramid; levels 0 to 3 are the official out_l2 .. out_l5.

    The output stride follows the rule of the official code: only the strides
    and the depthwise dilation of the first block of a stage change, so that
    official DeepLabv3 weights keep their meaning. Its 3x3 convolutions in the
    transformer blocks are never dilated.

    Args:
        arch: 'xxs', 'xs' or 's', or a dict with the keys ``stem`` (channels
            at stride 2), ``channels`` (of the four levels), ``widths`` (of
            the transformers of stages 1 to 3), ``expand_ratio`` and
            ``dropout``.
        drop_rate: Dropout after attention and feed-forward network; ``None``
            takes the published value of the variant.
        norm_cfg: Norm of the convolutions.
        act_cfg: Activation of the convolutions.
        **shared: ``out_indices``, ``output_stride``, ``frozen_stages``,
            ``norm_eval``, ``with_cp``, ``in_channels``, ``drop_path_rate``
            (of the transformers; 0 as published) and ``init_cfg``, see
            :class:`PyramidBackbone`.
    """

    family = 'mobilevit'
    default_arch = 's'
    layouts = LAYOUTS
    arch_settings = {
        'xxs': dict(
            stem=(16, 16),
            channels=(24, 48, 64, 80),
            widths=(64, 80, 96),
            expand_ratio=2,
            dropout=0.05,
        ),
        'xs': dict(
            stem=(16, 32),
            channels=(48, 64, 80, 96),
            widths=(96, 120, 144),
            expand_ratio=4,
            dropout=0.1,
        ),
        's': dict(
            stem=(16, 32),
            channels=(64, 96, 128, 160),
            widths=(144, 192, 240),
            expand_ratio=4,
            dropout=0.1,
        ),
    }
    weights = published.MOBILEVIT
    # OpenCV's BGR images in [0, 1]: the paper's code subtracts no mean.
    input_norm = UNIT_BGR

    def __init__(
        self,
        arch: str | dict = default_arch,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        *,
        drop_rate: float | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(arch, out_indices, **shared)
        published = self.settings['dropout']
        self.drop_rate = published if drop_rate is None else drop_rate
        self.norm_act: dict[str, Any] = dict(
            norm_cfg=norm_cfg or dict(type='BN'),
            act_cfg=act_cfg or dict(type='SiLU'),
        )

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the four levels."""
        return tuple(self.settings['channels'])

    def make_stem(self) -> nn.Module:
        """Create the first convolution and ``layer_1``, up to stride 2."""
        first, second = self.settings['stem']
        return nn.Sequential(
            ConvNormAct(self.in_channels, first, 3, 2, **self.norm_act),
            self._residual(first, second),
        )

    def make_stage(self, index: int) -> nn.Module:
        """Create inverted residuals, and a MobileViT block from stage 1 on."""
        channels = (self.settings['stem'][-1], *self.stage_channels)
        given, out = channels[index], channels[index + 1]
        stride = self.stage_stride(index)
        # Only the stage whose predecessor was dilated already is dilated.
        dilation = self.stage_dilation(index - 1) if index else 1
        blocks: list[nn.Module] = [
            self._residual(given, out, stride, dilation)
        ]
        blocks += [
            self._residual(out, out) for _ in range(EXTRA_RESIDUALS[index])
        ]
        if DEPTHS[index]:
            first = sum(DEPTHS[:index])
            rates = self.drop_path_rates(sum(DEPTHS))
            blocks.append(
                MobileViTBlock(
                    out,
                    self.settings['widths'][index - 1],
                    self.drop_rate,
                    rates[first : first + DEPTHS[index]],
                    **self.norm_act,
                )
            )
        return nn.Sequential(*blocks)

    def _residual(
        self, given: int, out: int, stride: int = 1, dilation: int = 1
    ) -> InvertedResidual:
        ratio = self.settings['expand_ratio']
        return InvertedResidual(
            given, out, ratio, stride, dilation, **self.norm_act
        )
