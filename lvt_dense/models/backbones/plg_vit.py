"""PLG-ViT and LW PLG-ViT: parallel local-global self-attention.

Papers: N. Ebert, D. Stricker, O. Wasenmueller, "PLG-ViT: Vision Transformer
with Parallel Local and Global Self-Attention", Sensors 2023, 23(7), 3447, and
"Light-Weight Vision Transformer with Parallel Local and Global
Self-Attention", arXiv 2307.09120.

Reconstructed: there is no public code, and the second paper's Table I was not
available; the configuration is ours. What the papers do not say is marked
"inferred" below.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import (
    Attention,
    ConvNormAct,
    SqueezeExcite,
    Windows,
    at_least_single,
    attend,
)
from lvt_dense.registry import MODELS

from .base import PyramidBackbone

WINDOW = 7  # side of a local window, and of the pooled map; inferred
SE_RATIO, LIGHT_SE_RATIO = 4, 8


class WindowAttention(Attention):
    """Self-attention inside a window, with a learned bias for every offset.

    The relative position bias is inferred: the table of Swin Transformer.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__(channels, num_heads)
        self.bias_index: Tensor
        self.bias_table = nn.Parameter(
            torch.zeros(num_heads, (2 * WINDOW - 1) ** 2)
        )
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        rows, columns = torch.meshgrid(
            torch.arange(WINDOW), torch.arange(WINDOW), indexing='ij'
        )
        places = torch.stack([rows.flatten(), columns.flatten()])
        offsets = places[:, :, None] - places[:, None] + WINDOW - 1
        index = offsets[0] * (2 * WINDOW - 1) + offsets[1]
        self.register_buffer('bias_index', index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, WINDOW ** 2, C) to the same shape."""
        qkv = self.qkv(x)
        bias = self.bias_table[:, self.bias_index].to(qkv.dtype)
        out = attend(qkv, self.num_heads, bias[None])
        return self.proj(out)


def pool_to_window(x: Tensor, mode: str) -> Tensor:
    """Pool a map to one window, adaptively.

    Args:
        x: Map, (N, C, H, W).
        mode: 'max' or 'mean'.

    Returns:
        (N, C, WINDOW, WINDOW).
    """
    if (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        # PyTorch has no such gradients of adaptive pooling on a GPU
        or torch.are_deterministic_algorithms_enabled()
    ):
        return pool_regions(x, WINDOW, mode)
    if mode == 'max':
        return F.adaptive_max_pool2d(x, WINDOW)
    return F.adaptive_avg_pool2d(x, WINDOW)


def pool_regions(x: Tensor, side: int, mode: str) -> Tensor:
    """Pool a map to ``side`` by ``side`` regions, as adaptive pooling does.

    The same values as ``F.adaptive_max_pool2d`` and ``F.adaptive_avg_pool2d``
    from operators that every exporter knows, at several times the cost: a
    region of an axis of length n is pixels ``i * n // side`` to
    ``ceil((i + 1) * n / side)``.

    Args:
        x: Map, (N, C, H, W).
        side: Regions along each axis.
        mode: 'max' or 'mean'.

    Returns:
        (N, C, side, side).
    """
    for axis in (2, 3):
        length = x.shape[axis]
        number = torch.arange(side, device=x.device)
        first = number * length // side
        last = ((number + 1) * length + side - 1) // side - 1
        longest = (length + side - 1) // side + 1
        steps = torch.arange(longest, device=x.device)
        index = first[:, None] + steps
        inside = index <= last[:, None]
        # Beyond its end a region repeats its last pixel.
        index = torch.minimum(index, last[:, None])
        x = x.index_select(axis, index.flatten())
        x = x.unflatten(axis, (side, longest))
        if mode == 'max':
            x = x.amax(axis + 1)
        else:
            weight = inside / inside.sum(1, keepdim=True)
            weight = weight if axis == 3 else weight[..., None]
            x = (x * weight.to(x.dtype)).sum(axis + 1)
    return x


class ParallelAttention(nn.Module):
    """PLG-SA: local windows and one global window on parts of the channels.

    The first channels attend inside windows of the map that are not shifted,
    and that are padded with zeros below and on the right where the map ends.
    The others are pooled to one window, whatever the size of the map, attend
    there, and are enlarged again. Query, key and value of both branches come
    from the branch's own channels; each branch has an output projection, and
    a joint one follows (inferred).
    """

    def __init__(
        self, channels: int, local_heads: int, global_heads: int, light: bool
    ) -> None:
        super().__init__()
        head_dim = channels // (local_heads + global_heads)
        self.widths = (local_heads * head_dim, global_heads * head_dim)
        self.light = light
        self.local_attn = WindowAttention(self.widths[0], local_heads)
        self.global_attn = WindowAttention(self.widths[1], global_heads)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        near, far = x.split(self.widths, dim=1)
        return self.proj(torch.cat([self._local(near), self._global(far)], 1))

    def _local(self, x: Tensor) -> Tensor:
        windows = Windows.tile(x.shape[2:], WINDOW)
        tokens = self.local_attn(windows.split(x.permute(0, 2, 3, 1)))
        return windows.merge(tokens).permute(0, 3, 1, 2)

    def _global(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        pooled = pool_to_window(x, 'max')
        if not self.light:
            pooled = pooled + pool_to_window(x, 'mean')
        # The output projection commutes with the interpolation, whose weights
        # sum to one, and is cheaper before it.
        out = self.global_attn(pooled.flatten(2).transpose(1, 2))
        out = out.view(n, WINDOW, WINDOW, c).permute(0, 3, 1, 2)
        return F.interpolate(out, (height, width), mode='bilinear')


class GlobalResponseNorm(nn.Module):
    """GRN of ConvNeXt V2: channels compete by their norm over the map.

    Source: S. Woo et al., CVPR 2023, Section 3. The norm spans the whole map,
    so that what an image is padded with to fit in a batch changes its result.
    """

    is_norm = True  # for rules of weight decay

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        # The squares of a map overflow half precision.
        norm = torch.linalg.vector_norm(
            at_least_single(x), dim=(2, 3), keepdim=True
        )
        scale = norm / (norm.mean(1, keepdim=True) + 1e-6)
        return torch.addcmul(
            self.bias.to(x.dtype), x, (1 + self.weight * scale).to(x.dtype)
        )


class PairConv(nn.Conv2d):
    """1x1 convolution of two maps that are not concatenated for it.

    LW PLG-ViT is 1.02 to 1.11 times as fast with it on a CPU as with a
    concatenation. Exported graphs concatenate, so that the weight stays whole
    for those who quantize it.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(2 * in_channels, out_channels, 1)

    def forward(  # type: ignore[override]
        self, x: Tensor, other: Tensor
    ) -> Tensor:
        """Map two (N, C, H, W) to (N, C', H, W)."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return super().forward(torch.cat([x, other], dim=1))
        first, second = self.weight.chunk(2, 1)
        return F.conv2d(x, first, self.bias).add_(F.conv2d(other, second))


class ConvFFN(nn.Module):
    """CCF-FFN: a depthwise convolution inside the feed-forward network.

    The light one (CCF-FFN+) normalizes the responses of the convolution and
    also hands on what it was given. Read literally, as here, it has 9 C^2
    weights at its ratio of 3, against 8 C^2 of CCF-FFN at its ratio of 4,
    though the paper speaks of slightly fewer parameters.
    """

    def __init__(
        self, channels: int, ratio: int, dilation: int, light: bool, act: dict
    ) -> None:
        super().__init__()
        hidden = ratio * channels
        self.expand = ConvNormAct(channels, hidden, 1, act_cfg=act)
        self.depthwise = ConvNormAct(
            hidden, hidden, 3, 1, dilation, hidden, act_cfg=act
        )
        self.response_norm = GlobalResponseNorm(hidden) if light else None
        self.project: nn.Module = (
            PairConv(hidden, channels)
            if light
            else nn.Conv2d(hidden, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = self.expand(x)
        out = self.depthwise(x)
        if self.response_norm is not None:
            return self.project(x, self.response_norm(out))
        return self.project(out)


class Block(nn.Module):
    """Pre-norm transformer block; the residual additions are inferred."""

    def __init__(
        self,
        channels: int,
        heads: tuple[int, int],
        ffn_ratio: int,
        dilation: int,
        light: bool,
        drop_path_rate: float,
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.attn = ParallelAttention(channels, *heads, light)
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.ffn = ConvFFN(channels, ffn_ratio, dilation, light, act_cfg)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.ffn(self.norm2(x)))


class DownSampling(nn.Module):
    """Fused-MBConv, then a strided 3x3 convolution.

    The parts are the paper's; their order, and that the first 3x3 convolution
    is depthwise, are inferred. The light one replaces the strided convolution
    by a strided 1x1 and a depthwise 3x3 convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: 2, or 1 in a dilated stage.
        dilation: Dilation before the stride.
        next_dilation: Dilation after the stride.
        light: Whether it is that of LW PLG-ViT.
        norm_cfg: Norm.
        act_cfg: Activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        dilation: int,
        next_dilation: int,
        light: bool,
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        squeezed = in_channels // (LIGHT_SE_RATIO if light else SE_RATIO)
        self.norm1 = build_norm_layer(norm_cfg, in_channels)[1]
        self.mix = nn.Sequential(
            ConvNormAct(
                in_channels,
                in_channels,
                3,
                1,
                dilation,
                in_channels,
                act_cfg=act_cfg,
            ),
            SqueezeExcite(in_channels, squeezed, act_cfg),
            nn.Conv2d(in_channels, in_channels, 1),
        )
        self.reduce = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride),
                ConvNormAct(
                    out_channels,
                    out_channels,
                    3,
                    1,
                    next_dilation,
                    out_channels,
                ),
            )
            if light
            else ConvNormAct(in_channels, out_channels, 3, stride, dilation)
        )
        self.norm2 = build_norm_layer(norm_cfg, out_channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        x = self.norm1(x)
        return self.norm2(self.reduce(x + self.mix(x)))


@MODELS.register_module()
class PLGViT(PyramidBackbone):
    """PLG-ViT (tiny, small, base) and LW PLG-ViT (lw_a, lw_r) as a pyramid.

    Reconstructed: the second paper's Table I was not available; the
    configuration is ours. Stated by the papers are the layout of four stages
    behind a convolutional stem, the split of the channels, windows that are
    not shifted, the global branch that pools to one window, the parts of
    down-sampling and feed-forward network, and channels and depths of tiny,
    small and base. Inferred are the head counts, the window of 7, the
    position bias, the projections, and all numbers of lw_a (made for
    accuracy) and lw_r (for speed), which were chosen to have the published
    5 M parameters with the classifier and its 3x3 convolution. There are no
    published weights, and no accuracy of ours.

    The global branch costs the same at every resolution. In a stage whose
    stride is dropped the depthwise convolutions are dilated; the windows keep
    their size in pixels of the map.

    Args:
        arch: 'tiny', 'small', 'base', 'lw_a' or 'lw_r', or a dict with the
            keys ``channels``, ``depths``, ``local_heads``, ``global_heads``
            (of the four stages), ``ffn_ratio`` and ``light``. The local
            branch gets the channels' share of its heads.
        norm_cfg: Norm of all parts.
        act_cfg: Activation of all parts; ``None`` takes GELU, and SiLU in the
            down-sampling of the light variants.
        **shared: ``out_indices``, ``output_stride``, ``frozen_stages``,
            ``norm_eval``, ``with_cp``, ``in_channels``, ``drop_path_rate`` (0
            unless given) and ``init_cfg``, see :class:`PyramidBackbone`.
    """

    family = 'plg_vit'
    default_arch = 'lw_a'
    has_batch_norm = False
    arch_settings = {
        'tiny': dict(
            channels=(64, 128, 256, 512),
            depths=(3, 4, 16, 4),
            local_heads=(1, 2, 4, 8),
            global_heads=(1, 2, 4, 8),
            ffn_ratio=4,
            light=False,
        ),
        'small': dict(
            channels=(96, 192, 384, 768),
            depths=(3, 3, 16, 3),
            local_heads=(2, 4, 8, 16),
            global_heads=(2, 4, 8, 16),
            ffn_ratio=4,
            light=False,
        ),
        'base': dict(
            channels=(128, 256, 512, 1024),
            depths=(3, 3, 16, 3),
            local_heads=(2, 4, 8, 16),
            global_heads=(2, 4, 8, 16),
            ffn_ratio=4,
            light=False,
        ),
        'lw_a': dict(
            channels=(64, 96, 128, 192),
            depths=(3, 4, 12, 2),
            local_heads=(1, 2, 2, 4),
            global_heads=(3, 4, 6, 8),
            ffn_ratio=3,
            light=True,
        ),
        'lw_r': dict(
            channels=(32, 64, 160, 256),
            depths=(2, 3, 6, 2),
            local_heads=(1, 1, 3, 4),
            global_heads=(1, 3, 7, 12),
            ffn_ratio=3,
            light=True,
        ),
    }
    # Of the papers' own networks; LW PLG-ViT has one result, for its best.
    reported_top1 = {'tiny': 83.4, 'small': 84.0, 'base': 84.5, 'lw_a': 79.5}
    # Fan-in, because the depthwise convolutions have no norm to undo the
    # tiny weights that a fan-out over all channels would give them.
    default_init = (
        PyramidBackbone.default_init[0],
        dict(
            type='Kaiming',
            layer='Conv2d',
            mode='fan_in',
            nonlinearity='linear',
        ),
        PyramidBackbone.default_init[2],
    )

    def __init__(
        self,
        arch: str | dict = default_arch,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        *,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(arch, out_indices, **shared)
        self.norm_cfg = norm_cfg or dict(type='lvt_dense.LN2d')
        self.act_cfg = act_cfg

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the four levels."""
        return tuple(self.settings['channels'])

    def make_stem(self) -> nn.Module:
        """Create the first half of the overlapping embedding; inferred."""
        return ConvNormAct(self.in_channels, self.stage_channels[0], 3, 2)

    def make_stage(self, index: int) -> nn.Module:
        """Create down-sampling and transformer blocks.

        The down-sampling of stage 0 is the second half of the embedding.
        """
        settings = self.settings
        channels = self.stage_channels
        depths = settings['depths']
        light = settings['light']
        dilation = self.stage_dilation(index)
        down_sampling = DownSampling(
            channels[max(index - 1, 0)],
            channels[index],
            self.stage_stride(index),
            self.stage_dilation(index - 1) if index else 1,
            dilation,
            light,
            self.norm_cfg,
            self.act_cfg or dict(type='SiLU' if light else 'GELU'),
        )
        heads = (
            settings['local_heads'][index],
            settings['global_heads'][index],
        )
        first = sum(depths[:index])
        rates = self.drop_path_rates(sum(depths))
        return nn.Sequential(
            down_sampling,
            *(
                Block(
                    channels[index],
                    heads,
                    settings['ffn_ratio'],
                    dilation,
                    light,
                    rate,
                    self.norm_cfg,
                    self.act_cfg or dict(type='GELU'),
                )
                for rate in rates[first : first + depths[index]]
            ),
        )
