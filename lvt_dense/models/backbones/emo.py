"""EMO: efficient model of inverted residual mobile blocks.

Paper: J. Zhang et al., "Rethinking Mobile Block for Efficient
Attention-based Models", ICCV 2023, arXiv 2301.01146. The network is that of
the paper's code (zhangzjn/EMO); written anew.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.checkpoints import published
from lvt_dense.checkpoints.emo import LAYOUTS
from lvt_dense.models.layers import ConvNormAct, SqueezeExcite, Windows
from lvt_dense.registry import MODELS

from .base import PyramidBackbone

EPS = 1e-6  # of every norm
HAS_ATTENTION = (False, False, True, True)
LAYER_NORM = dict(type='lvt_dense.LN2d', eps=EPS)
PerStage = int | Sequence[int]


class InvertedResidualMobileBlock(nn.Module):
    """iRMB: attention and a depthwise convolution in one inverted residual.

    The input norm is followed by window attention (optional), a 1x1 expansion
    with activation, a depthwise convolution, and a linear 1x1 projection. In
    a block that keeps channels and resolution both the convolution and the
    whole block have a residual connection (paper, Section 3.2).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expand_ratio: Hidden width over ``in_channels``.
        kernel_size: Kernel of the depthwise convolution.
        stride: Its stride.
        dilation: Its dilation.
        head_dim: Channels of an attention head; ``None`` for no attention.
        window_size: Side of the attention windows; below 1 for a single one.
        is_residual: Whether to add the input.
        drop_path_rate: Stochastic depth.
        norm_cfg: Norm of the depthwise convolution.
        input_norm_cfg: Norm of the input.
        act_cfg: Activation of the depthwise convolution.
        expand_act_cfg: Activation of the expansion.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float,
        kernel_size: int,
        stride: int,
        dilation: int,
        head_dim: int | None,
        window_size: int,
        is_residual: bool,
        drop_path_rate: float,
        norm_cfg: dict,
        input_norm_cfg: dict,
        act_cfg: dict,
        expand_act_cfg: dict,
    ) -> None:
        super().__init__()
        hidden = int(in_channels * expand_ratio)
        self.head_dim = head_dim
        self.window_size = window_size
        self.is_residual = is_residual
        self.norm = build_norm_layer(input_norm_cfg, in_channels)[1]
        if head_dim is not None:
            self.query_key = nn.Conv2d(in_channels, 2 * in_channels, 1)
        self.value = ConvNormAct(
            in_channels, hidden, 1, act_cfg=expand_act_cfg
        )
        self.depthwise = ConvNormAct(
            hidden,
            hidden,
            kernel_size,
            stride,
            dilation,
            hidden,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.project = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        out = self.expand(self.norm(x))
        if not self.is_residual:
            return self.reduce(self.depthwise(out))
        return x + self.drop_path(self.reduce(out + self.depthwise(out)))

    def expand(self, x: Tensor) -> Tensor:
        """Map the normalized (N, C, H, W) to (N, hidden, H, W)."""
        # The 1x1 expansion commutes with attention's average over pixels, but
        # the activation in it does not: attention has to come first.
        return self.value(x if self.head_dim is None else self._attend(x))

    def reduce(self, x: Tensor) -> Tensor:
        """Map (N, hidden, H', W') to (N, C', H', W')."""
        return self.project(x)

    def _attend(self, x: Tensor) -> Tensor:
        """Attend inside windows, whose pixels lie a fixed step apart."""
        windows = Windows.spread(x.shape[2:], self.window_size)
        tokens = self._attention(windows.split(x.permute(0, 2, 3, 1)))
        return windows.merge(tokens).permute(0, 3, 1, 2)

    def _attention(self, x: Tensor) -> Tensor:
        """Map the pixels of windows, (B, L, C), to the same shape."""
        batch, length, channels = x.shape
        assert self.head_dim is not None  # else there is no attention
        heads = channels // self.head_dim
        # On tokens a 1x1 convolution is a linear layer.
        weight = self.query_key.weight.flatten(1)
        query_key = F.linear(x, weight, self.query_key.bias)
        query_key = query_key.view(batch, length, 2, heads, self.head_dim)
        query, key = query_key.permute(2, 0, 3, 1, 4).unbind()
        value = x.view(batch, length, heads, self.head_dim).transpose(1, 2)
        out = F.scaled_dot_product_attention(query, key, value)
        return out.transpose(1, 2).reshape(batch, length, channels)


@MODELS.register_module()
class EMO(PyramidBackbone):
    """EMO as a pyramid; levels 0 to 3 are the official stage1 .. stage4.

    The levels are the raw outputs of the stages, as in the official detection
    and segmentation code. The windows of the attention own no parameters, so
    their size may follow the input: official models take 7 for ImageNet, and
    up to 16 for dense tasks. A map that the window does not divide is padded
    with zeros below and on the right, and these take part in the softmax.

    With an output stride of 8 or 16 a stage whose stride is dropped is
    dilated instead; its first block has the dilation of the stage before, so
    that every pixel keeps its neighbors. The official block cannot do this.

    Args:
        arch: '1m', '2m', '5m' or '6m', or a dict with the keys ``stem``
            (channels at stride 2), ``depths``, ``channels``,
            ``expand_ratios``, ``head_dims`` (of the four stages) and
            ``drop_path_rate``.
        window_size: Side of the attention windows in pixels of the map, for
            all stages or one for each; below 1 for global attention.
        norm_cfg: Norm of the convolutions; its eps is 1e-6 unless given.
        act_cfg: Activation of the depthwise convolutions.
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

    family = 'emo'
    default_arch = '5m'
    layouts = LAYOUTS
    # Of the depthwise convolutions of a stage.
    kernel_sizes: ClassVar[Sequence[int]] = (3, 3, 5, 5)
    arch_settings = {
        '1m': dict(
            stem=24,
            depths=(2, 2, 8, 3),
            channels=(32, 48, 80, 168),
            expand_ratios=(2.0, 2.5, 3.0, 3.5),
            head_dims=(16, 16, 20, 21),
            drop_path_rate=0.04036,
        ),
        '2m': dict(
            stem=24,
            depths=(3, 3, 9, 3),
            channels=(32, 48, 120, 200),
            expand_ratios=(2.0, 2.5, 3.0, 3.5),
            head_dims=(16, 16, 20, 20),
            drop_path_rate=0.05,
        ),
        '5m': dict(
            stem=24,
            depths=(3, 3, 9, 3),
            channels=(48, 72, 160, 288),
            expand_ratios=(2.0, 3.0, 4.0, 4.0),
            head_dims=(24, 24, 32, 32),
            drop_path_rate=0.05,
        ),
        '6m': dict(
            stem=24,
            depths=(3, 3, 9, 3),
            channels=(48, 72, 160, 320),
            expand_ratios=(2.0, 3.0, 4.0, 5.0),
            head_dims=(16, 24, 20, 32),
            drop_path_rate=0.05,
        ),
    }
    weights = published.EMO

    def __init__(
        self,
        arch: str | dict = default_arch,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        *,
        window_size: PerStage = 7,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        stage_norm_cfgs: Sequence[dict] | None = None,
        stage_act_cfgs: Sequence[dict] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(arch, out_indices, **shared)
        self.window_sizes = self._per_stage(
            'window_size',
            [window_size] * 4 if isinstance(window_size, int) else window_size,
        )
        self.norm_cfg = {'eps': EPS, **(norm_cfg or dict(type='BN'))}
        self.act_cfg = act_cfg or dict(type='SiLU')
        self.stage_norm_cfgs = self._per_stage(
            'stage_norm_cfgs',
            stage_norm_cfgs or [self.norm_cfg] * 2 + [LAYER_NORM] * 2,
        )
        self.stage_act_cfgs = self._per_stage(
            'stage_act_cfgs',
            stage_act_cfgs
            or [dict(type='SiLU')] * 2 + [dict(type='GELU')] * 2,
        )

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the four levels."""
        return tuple(self.settings['channels'])

    @property
    def stem_channels(self) -> int:
        """Channels at stride 2."""
        return self.settings['stem']

    def make_stem(self) -> nn.Module:
        """Create the official ``stage0``, up to stride 2."""
        width = self.stem_channels
        act_cfg = self.stage_act_cfgs[0]
        return nn.Sequential(
            ConvNormAct(
                self.in_channels,
                width,
                3,
                2,
                bias=True,
                norm_cfg=self.norm_cfg,
            ),
            ConvNormAct(
                width,
                width,
                3,
                groups=width,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
            ),
            SqueezeExcite(width, width, act_cfg),
            nn.Conv2d(width, width, 1, bias=False),
        )

    def make_stage(self, index: int) -> nn.Module:
        """Create a block of stride 2, or dilated, and blocks of stride 1."""
        depths = self.settings['depths']
        first = sum(depths[:index])
        rates = self.drop_path_rates(sum(depths))[first:]
        return nn.Sequential(
            *(
                self._make_block(index, number, rates[number])
                for number in range(depths[index])
            )
        )

    def make_block(self, **arguments: Any) -> InvertedResidualMobileBlock:
        """Create a block."""
        return InvertedResidualMobileBlock(**arguments)

    def _make_block(
        self, stage: int, number: int, drop_path_rate: float
    ) -> InvertedResidualMobileBlock:
        is_first = number == 0
        channels = (self.stem_channels, *self.stage_channels)
        has_attention = HAS_ATTENTION[stage] and not is_first
        ratio = self.settings['expand_ratios'][stage]
        dilated_by = stage - 1 if is_first and stage else stage
        return self.make_block(
            in_channels=channels[stage if is_first else stage + 1],
            out_channels=channels[stage + 1],
            expand_ratio=2 * ratio if is_first else ratio,
            kernel_size=self.kernel_sizes[stage],
            stride=self.stage_stride(stage) if is_first else 1,
            dilation=self.stage_dilation(dilated_by),
            head_dim=(
                self.settings['head_dims'][stage] if has_attention else None
            ),
            window_size=self.window_sizes[stage],
            is_residual=not is_first,
            drop_path_rate=drop_path_rate,
            norm_cfg=self.norm_cfg,
            input_norm_cfg=self.stage_norm_cfgs[stage],
            act_cfg=self.act_cfg,
            expand_act_cfg=self.stage_act_cfgs[stage],
        )

    def _per_stage(self, name: str, values: Sequence) -> tuple:
        if len(values) != 4:
            raise self._error(
                f'{name} has {len(values)} entries; give one for each of the '
                'four stages'
            )
        return tuple(values)
