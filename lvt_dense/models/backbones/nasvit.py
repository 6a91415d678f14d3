"""NASViT: neural architecture search for efficient vision transformers.

Paper: C. Gong et al., "NASViT: Neural Architecture Search for Efficient
Vision Transformers with Gradient Conflict-Aware Supernet Training", ICLR
2022. The network is that of the paper's code (facebookresearch/NASViT, which
is CC BY-NC 4.0, as are its weights); written anew. Sub-networks T1 to T5: Q.
Wang et al., "MathNAS", NeurIPS 2023.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.checkpoints import published
from lvt_dense.checkpoints.nasvit import LAYOUTS
from lvt_dense.models.layers import (
    ConvNormAct,
    SqueezeExcite,
    make_divisible,
)
from lvt_dense.registry import MODELS
from lvt_dense.utils.errors import UserError

from .base import PyramidBackbone
from .nasvit_attention import HEAD_DIM, TABLE_SIDE, TransformerBlock

PARTS = ((2,), (3,), (4,), (5, 6), (7,))  # official stages mbK of a level
HAS_ATTENTION = (4, 5, 6, 7)
HAS_SE = (3, 5, 6, 7)
HALVE = (2, 3, 4, 5, 7)
ENTRIES = dict(width=9, depth=7, kernel_size=7, expand_ratio=7)
WindowSize = int | Sequence[int | None] | None


class MBConv(nn.Module):
    """Inverted residual whose shortcut also spans strides and new widths.

    A block that halves the resolution averages 2x2 pixels in its shortcut,
    one that changes the channels projects them, linearly and without norm.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expand_ratio: Hidden width over ``in_channels``; 1 for no expansion.
        kernel_size: Kernel of the depthwise convolution.
        stride: Its stride.
        dilation: Its dilation, and that of the shortcut's average.
        has_pool: Whether the shortcut averages; a block whose stride was
            dropped still does.
        has_se: Whether it has squeeze and excitation.
        norm_cfg: Norm of the convolutions.
        act_cfg: Activation of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float,
        kernel_size: int,
        stride: int,
        dilation: int,
        has_pool: bool,
        has_se: bool,
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        hidden = make_divisible(round(in_channels * expand_ratio))
        norm_act: dict[str, Any] = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.stride = stride
        self.dilation = dilation
        self.has_pool = has_pool
        self.expand: nn.Module = nn.Identity()
        if expand_ratio != 1:
            self.expand = ConvNormAct(in_channels, hidden, 1, **norm_act)
        self.depthwise = ConvNormAct(
            hidden, hidden, kernel_size, stride, dilation, hidden, **norm_act
        )
        self.se: nn.Module = nn.Identity()
        if has_se:
            self.se = SqueezeExcite(
                hidden,
                make_divisible(hidden // 4),
                act_cfg=dict(type='ReLU'),
                gate=F.hardsigmoid,
            )
        self.project = ConvNormAct(hidden, out_channels, 1, norm_cfg=norm_cfg)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        out = self.project(self.se(self.depthwise(self.expand(x))))
        if self.has_pool:
            x = self._pool(x)
        return out + self.shortcut(x)

    def _pool(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            # Of an odd side the first row or column is averaged with zeros.
            odd = (x.shape[2] % 2, x.shape[3] % 2)
            return F.avg_pool2d(x, 2, padding=odd)
        step = self.dilation
        x = F.pad(x, (0, step, 0, step), mode='replicate')
        x = x[:, :, :-step] + x[:, :, step:]
        return (x[..., :-step] + x[..., step:]) / 4


def _subnet(
    resolution: int,
    width: Sequence[int],
    depth: Sequence[int],
    expand_ratio: Sequence[int],
    kernel_size: Sequence[int] = (3, 3),
) -> dict[str, Any]:
    """Make settings; kernels are searched in mb1 and mb2 only."""
    return dict(
        resolution=resolution,
        width=tuple(width),
        depth=tuple(depth),
        kernel_size=(*kernel_size, 3, 3, 3, 3, 3),
        expand_ratio=tuple(expand_ratio),
    )


@MODELS.register_module()
class NASViT(PyramidBackbone):
    """NASViT as a pyramid: the official stages mb2, mb3, mb4, mb6 and mb7.

    Levels 0 to 3 are mb2, mb3, mb4 and mb6, of strides 4 to 32; mb7, of
    stride 64, is an optional level 4. MBConv blocks lead; from mb4 on a stage
    goes on with transformer blocks, which have what the paper names *talking
    heads*, a *depthwise convolution on V*, a *V expansion* of 4, two *MLP
    layers* and *switchable scaling layers*, the row of the sub-network's
    depth and training resolution pinned.

    Sub-networks: 'min' and 'max' are the smallest and the largest one of the
    paper's supernet, with the official results. 't1' to 't5' were found and
    measured by MathNAS. 'a1' has its configuration from third-party files;
    its multiply-accumulates agree with the paper's 309 million within 0.6 %.
    The paper's A0 and A2 to A5 are unpublished, apart from incomplete tables,
    and therefore absent. All of them are slices of one file, the official
    supernet, whose weights are CC BY-NC 4.0: no commercial use. Its batch
    statistics are a mixture over all sub-networks: train with batch norm in
    train mode, or recalibrate it, before trusting a slice.

    Dense use: the attention windows are at most as large as the published
    position tables, so that these are never stretched, and cost grows
    linearly with the pixels; ``window_size=None`` is the published global
    attention, with stretched tables on maps larger than these. Windows are
    filled up with zeros, which are masked out of the softmax. The *joint
    norm* takes its statistics from the whole map, as published: an image that
    a batch pads has features that depend on the padding. With an output
    stride of 8 or 16 a stage that keeps the resolution is dilated, windows
    and the averages of its shortcut included; no official code does this.

    Args:
        arch: 'min', 'a1', 't1' to 't5' or 'max', or any sub-network as a
            dict with the official keys ``resolution`` (of the training
            images, in pixels), ``width`` (of first_conv, mb1 to mb7 and the
            classifier), ``depth``, ``kernel_size`` and ``expand_ratio`` (of
            mb1 to mb7).
        window_size: Longest side of an attention window, in pixels of the
            map, ``None`` for global attention; or three of these, for the
            levels of stride 16, 32 and 64.
        norm_cfg: Norm of the convolutions.
        act_cfg: Activation of the convolutions.
        **shared: ``out_indices``, ``output_stride``, ``frozen_stages``,
            ``norm_eval``, ``with_cp``, ``in_channels``, ``drop_path_rate`` (of
            the transformer blocks; 0 as published) and ``init_cfg``, see
            :class:`PyramidBackbone`.

    Raises:
        UserError: An argument is not one of those there are, or the
            sub-network cannot be built.
    """

    family = 'nasvit'
    default_arch = 't2'
    num_levels = 5
    layouts = LAYOUTS
    # Norms keep the values that they are made with, see init_weights().
    default_init = PyramidBackbone.default_init[:2]
    arch_settings = {
        'min': _subnet(
            192,
            (16, 16, 24, 32, 64, 112, 160, 208, 1792),
            (1, 3, 3, 3, 3, 3, 3),
            (1, 4, 4, 4, 4, 6, 6),
        ),
        'a1': _subnet(
            224,
            (16, 16, 24, 32, 64, 112, 160, 216, 1792),
            (1, 3, 3, 4, 3, 3, 3),
            (1, 4, 4, 4, 4, 6, 6),
        ),
        't1': _subnet(
            192,
            (16, 16, 24, 32, 64, 112, 176, 208, 1792),
            (1, 3, 3, 3, 3, 3, 3),
            (1, 4, 4, 6, 4, 6, 6),
        ),
        't2': _subnet(
            224,
            (16, 16, 24, 40, 64, 112, 176, 208, 1792),
            (1, 3, 4, 3, 4, 3, 3),
            (1, 4, 4, 5, 4, 6, 6),
            (5, 3),
        ),
        't3': _subnet(
            256,
            (24, 16, 24, 40, 64, 120, 184, 216, 1792),
            (1, 3, 4, 3, 6, 6, 6),
            (1, 5, 4, 5, 4, 6, 6),
            (5, 3),
        ),
        't4': _subnet(
            288,
            (16, 16, 24, 32, 72, 120, 176, 216, 1792),
            (1, 3, 6, 4, 8, 8, 5),
            (1, 5, 4, 5, 5, 6, 6),
            (5, 3),
        ),
        't5': _subnet(
            288,
            (24, 24, 24, 40, 72, 128, 184, 216, 1792),
            (2, 4, 6, 6, 8, 8, 5),
            (1, 5, 5, 4, 6, 6, 6),
        ),
        'max': _subnet(
            288,
            (24, 24, 32, 40, 72, 128, 184, 224, 1984),
            (2, 5, 6, 6, 9, 8, 6),
            (1, 6, 6, 6, 6, 6, 6),
            (5, 5),
        ),
    }
    # One file, the supernet, of which every variant is a part.
    weights = published.NASVIT

    def __init__(
        self,
        arch: str | dict = default_arch,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        *,
        window_size: WindowSize = TABLE_SIDE,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(arch, out_indices, **shared)
        _check_subnet(self.settings)
        self.window_sizes = _window_sizes(window_size)
        self.norm_act: dict[str, Any] = dict(
            norm_cfg=norm_cfg or dict(type='BN'),
            act_cfg=act_cfg or dict(type='SiLU'),
        )

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the five levels."""
        return tuple(self.settings['width'][parts[-1]] for parts in PARTS)

    def make_stem(self) -> nn.Module:
        """Create the official ``first_conv`` and ``mb1``, up to stride 2."""
        width = self.settings['width'][0]
        return nn.Sequential(
            ConvNormAct(self.in_channels, width, 3, 2, **self.norm_act),
            *self._make_blocks(1, stride=1, dilations=(1, 1)),
        )

    def make_stage(self, index: int) -> nn.Module:
        """Create MBConv blocks, or one and transformer blocks.

        Stage 3 holds mb5, whose first block halves the resolution, and mb6.
        """
        dilation = self.stage_dilation(index)
        before = self.stage_dilation(index - 1) if index else 1
        first, *others = PARTS[index]
        blocks = self._make_blocks(
            first, self.stage_stride(index), (before, dilation)
        )
        for part in others:
            blocks += self._make_blocks(part, 1, (dilation, dilation))
        return nn.Sequential(*blocks)

    def init_weights(self) -> None:
        """Initialize so that every MBConv block starts as its shortcut."""
        for module in self.modules():
            if isinstance(module, MBConv):
                nn.init.zeros_(module.project.norm.weight)
        super().init_weights()

    def _make_blocks(
        self, part: int, stride: int, dilations: tuple[int, int]
    ) -> list[nn.Module]:
        """Create the blocks of the official stage mbK, K = ``part``.

        The first block has a dilation of its own.
        """
        given, out = self.settings['width'][part - 1 : part + 1]
        blocks: list[nn.Module] = [
            self._make_mbconv(part, given, stride, dilations[0], part in HALVE)
        ]
        for number in range(self.settings['depth'][part - 1] - 1):
            if part in HAS_ATTENTION:
                blocks.append(
                    TransformerBlock(
                        out,
                        self.window_sizes[part],
                        dilations[1],
                        self._drop_path_rate(part, number),
                    )
                )
            else:
                blocks.append(self._make_mbconv(part, out, 1, dilations[1]))
        return blocks

    def _drop_path_rate(self, part: int, number: int) -> float:
        """Compute the stochastic depth of a transformer block of mbK."""
        depths = [self.settings['depth'][k - 1] - 1 for k in HAS_ATTENTION]
        first = sum(depths[: HAS_ATTENTION.index(part)])
        return self.drop_path_rates(sum(depths))[first + number]

    def _make_mbconv(
        self,
        part: int,
        in_channels: int,
        stride: int,
        dilation: int,
        has_pool: bool = False,
    ) -> MBConv:
        return MBConv(
            in_channels,
            self.settings['width'][part],
            self.settings['expand_ratio'][part - 1],
            self.settings['kernel_size'][part - 1],
            stride,
            dilation,
            has_pool,
            part in HAS_SE,
            **self.norm_act,
        )


def _check_subnet(settings: dict[str, Any]) -> None:
    """Refuse a sub-network that cannot be built."""
    for key, count in ENTRIES.items():
        if len(settings[key]) != count:
            raise UserError(
                f'NASViT: {key}={settings[key]!r} has '
                f'{len(settings[key])} entries; give {count}: for '
                + ('first_conv, ' if key == 'width' else '')
                + 'mb1 to mb7'
                + (' and the classifier' if key == 'width' else '')
            )
    odd = [
        settings['width'][part]
        for part in HAS_ATTENTION
        if settings['width'][part] % HEAD_DIM
    ]
    if odd:
        raise UserError(
            f'NASViT: width has {odd} for mb4 to mb7; give multiples of '
            f'{HEAD_DIM}, the channels of an attention head'
        )


def _window_sizes(window_size: WindowSize) -> dict[int, int | None]:
    """Find the window size of every stage with attention."""
    if window_size is None or isinstance(window_size, int):
        sizes: Sequence[int | None] = (window_size,) * 3
    else:
        sizes = window_size
    if len(sizes) != 3 or any(s is not None and s < 1 for s in sizes):
        raise UserError(
            f'NASViT: window_size={window_size!r}; give a positive number of '
            'pixels, None for global attention, or three of these, for the '
            'levels of stride 16, 32 and 64'
        )
    return {
        part: size for size, parts in zip(sizes, PARTS[2:]) for part in parts
    }
