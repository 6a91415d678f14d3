"""Layers in the form that OpenVINO runs fastest, with the same values.

Its convolutions work in channels-last layout. What permutes a map or
concatenates channels between two of them makes it leave that layout and
return. ONNX Runtime is slower with these forms.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from lvt_dense.models.backbones.nasvit_attention import HeadMix
from lvt_dense.models.backbones.plg_vit import PairConv
from lvt_dense.models.layers import LayerNorm2d


class ReducingNorm(nn.Module):
    """Layer norm over the channels of a map by reductions alone."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(norm.weight[:, None, None].detach())
        self.bias = nn.Parameter(norm.bias[:, None, None].detach())
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x - x.mean(1, keepdim=True)
        variance = (x * x).mean(1, keepdim=True)
        return x * torch.rsqrt(variance + self.eps) * self.weight + self.bias


class TwoConvs(nn.Module):
    """1x1 convolution of two maps as the sum of one of each."""

    def __init__(self, conv: PairConv) -> None:
        super().__init__()
        half, out = conv.in_channels // 2, conv.out_channels
        self.first = nn.Conv2d(half, out, 1)
        self.second = nn.Conv2d(half, out, 1, bias=False)
        weights = conv.state_dict()
        first, second = weights['weight'].chunk(2, 1)
        self.first.load_state_dict(dict(weight=first, bias=weights['bias']))
        self.second.load_state_dict(dict(weight=second))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map two (N, C, H, W) to (N, C', H, W)."""
        return self.first(x) + self.second(other)


class VariableMix(HeadMix):
    """Mix of attention's heads by weights that OpenVINO takes for variable.

    It computes a product in float32 if the first factor is constant, whatever
    the precision of the model, and converts the other factor and the result.
    """

    def __init__(self, mix: HeadMix) -> None:
        super().__init__(mix.in_features, mix.out_features)
        self.load_state_dict(mix.state_dict())

    def mix(self, x: Tensor) -> Tensor:
        """Mix (B, h, N) over the heads, without the bias."""
        return torch.matmul(self.weight + 0 * x[:1, :1, :1], x)


FORMS = {LayerNorm2d: ReducingNorm, PairConv: TwoConvs}
BF16_FORMS = {**FORMS, HeadMix: VariableMix}


def adapt_to_openvino(graph: nn.Module, precision: str = 'fp32') -> nn.Module:
    """Put the layers of a graph into forms that suit OpenVINO.

    Args:
        graph: Graph in eval mode, which stays as it is.
        precision: ``'bf16'`` has forms of its own.

    Returns:
        A copy with other layers, or the graph itself where none changes.
    """
    forms: dict[type, Any] = BF16_FORMS if precision == 'bf16' else FORMS
    if not any(type(module) in forms for module in graph.modules()):
        return graph
    graph = copy.deepcopy(graph)
    for parent in list(graph.modules()):
        for name, child in parent.named_children():
            if type(child) in forms:
                form = forms[type(child)](child)
                setattr(parent, name, form.to(child.weight).eval())
    return graph
