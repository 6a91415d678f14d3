"""Convolution, norm and activation as one module, and what is made of it."""

from typing import Any

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to the nearest multiple, but never below 90 % of ``value``.

    The rule of MobileNetV2's reference code, which all light families use.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class ConvNormAct(nn.Module):
    """2D convolution, then optional normalization and activation.

    In eval mode batch norm is folded into the convolution on the fly, which
    saves reading and writing the map once more, and stays differentiable. On
    a GPU it is not: folding takes five small kernels, and the norm only one.
    MMCV's ``ConvModule(..., efficient_conv_bn_eval=True)`` computes the same,
    but replaces the forward of its convolution at every call, which
    ``torch.compile(fullgraph=True)`` refuses.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel; padded to keep the size.
        stride: Stride.
        dilation: Dilation.
        groups: Groups of the convolution.
        bias: Bias of the convolution; ``None`` adds one when there is no norm.
        norm_cfg: Norm layer, ``None`` for none.
        act_cfg: Activation layer, ``None`` for none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=(kernel_size - 1) // 2 * dilation,
            dilation=dilation,
            groups=groups,
            bias=norm_cfg is None if bias is None else bias,
        )
        self.norm: Any = (
            norm_cfg and build_norm_layer(norm_cfg, out_channels)[1]
        )
        act: Any = act_cfg and build_activation_layer(act_cfg)
        if hasattr(act, 'inplace'):
            act.inplace = True  # on a tensor that is this module's own
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        is_fixed = isinstance(self.norm, _BatchNorm) and not self.norm.training
        if is_fixed and x.device.type == 'cpu':
            x = self._folded(x)
        else:
            x = self.conv(x)
            if self.norm is not None:
                x = self.norm(x)
        if isinstance(self.act, nn.SiLU):
            # Its gradient needs the input, which autograd would copy first: a
            # step of MobileViT-XXS takes 0.95 of the time without.
            return F.silu(x, inplace=not x.requires_grad)
        return x if self.act is None else self.act(x)

    def _folded(self, x: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * scale
        if conv.bias is not None:
            bias = bias + conv.bias * scale
        return F.conv2d(
            x,
            conv.weight * scale[:, None, None, None],
            bias,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
        )


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 expand, 3x3 depthwise, linear 1x1 project.

    The input is added when the block keeps channels and resolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expand_ratio: Hidden width over ``in_channels``.
        stride: Stride of the depthwise convolution.
        dilation: Dilation of the depthwise convolution.
        norm_cfg: Norm layer.
        act_cfg: Activation layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float,
        stride: int,
        dilation: int,
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        hidden = make_divisible(round(in_channels * expand_ratio))
        norm_act: dict[str, Any] = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.expand = ConvNormAct(in_channels, hidden, 1, **norm_act)
        self.depthwise = ConvNormAct(
            hidden, hidden, 3, stride, dilation, hidden, **norm_act
        )
        self.project = ConvNormAct(hidden, out_channels, 1, norm_cfg=norm_cfg)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        out = self.project(self.depthwise(self.expand(x)))
        return x + out if self.is_residual else out
