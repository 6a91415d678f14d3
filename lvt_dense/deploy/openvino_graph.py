"""Layers in the form that OpenVINO runs fastest, with the same values.

Its convolutions work in channels-last layout. What permutes a map or
concatenates channels between two of them makes it leave that layout and
return. ONNX Runtime is slower with these forms.
"""

import copy

import torch
from torch import Tensor, nn

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


FORMS = {LayerNorm2d: ReducingNorm, PairConv: TwoConvs}


def adapt_to_openvino(graph: nn.Module) -> nn.Module:
    """Put the layers of a graph into forms that suit OpenVINO.

    Args:
        graph: Graph in eval mode, which stays as it is.

    Returns:
        A copy with other layers, or the graph itself where none changes.
    """
    if not any(type(module) in FORMS for module in graph.modules()):
        return graph
    graph = copy.deepcopy(graph)
    for parent in list(graph.modules()):
        for name, child in parent.named_children():
            if type(child) in FORMS:
                form = FORMS[type(child)](child)
                setattr(parent, name, form.to(child.weight).eval())
    return graph
