"""NASViT against itself as its authors wrote it, operation by operation.

    python projects/benchmarks/nasvit_eager.py

The reference has batch norm as a layer of its own, separate projections to
queries and keys, talking heads as linear layers over permuted copies of all
attention weights at once, and looks up the position biases in every pass:
what the official code does, restated for maps of any size by cutting them
into the same windows. Both have the same weights, and the largest difference
of their results is printed. The memory is what a forward pass needs beyond
the weights and the input.
"""

import torch
from timing import run_benchmark
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.backbones.nasvit import MBConv
from lvt_dense.models.backbones.nasvit_attention import (
    HEAD_DIM,
    TABLE_SIDE,
    FeedForward,
    JointNorm,
    TalkingHeadAttention,
    TransformerBlock,
)
from lvt_dense.models.layers import ConvNormAct, SqueezeExcite, even_side


class Conv(nn.Module):
    """Convolution, norm and activation one after the other."""

    def __init__(self, ours: ConvNormAct) -> None:
        super().__init__()
        self.conv = ours.conv
        self.norm = nn.Identity() if ours.norm is None else ours.norm
        self.act = nn.Identity() if ours.act is None else ours.act

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return self.act(self.norm(self.conv(x)))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, ours: SqueezeExcite) -> None:
        super().__init__()
        self.reduce = Conv(ours.reduce)
        self.expand = ours.expand

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        gate = self.expand(self.reduce(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(gate)


class InvertedResidual(nn.Module):
    """MBConv block."""

    def __init__(self, ours: MBConv) -> None:
        super().__init__()
        layers = [Conv(ours.depthwise)]
        if isinstance(ours.expand, ConvNormAct):
            layers.insert(0, Conv(ours.expand))
        if isinstance(ours.se, SqueezeExcite):
            layers.append(Gate(ours.se))
        self.layers = nn.Sequential(*layers, Conv(ours.project))
        self.shortcut = ours.shortcut
        self.has_pool = ours.has_pool

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        out = self.layers(x)
        if self.has_pool:
            x = F.avg_pool2d(x, 2, padding=[n % 2 for n in x.shape[2:]])
        return out + self.shortcut(x)


class Norm(nn.Module):
    """Layer norm over tokens and channels at once."""

    def __init__(self, ours: JointNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = ours.weight, ours.bias, ours.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, C) to the same shape."""
        x = F.layer_norm(x, x.shape[1:], eps=self.eps)
        return x * self.weight + self.bias


def _half(layer: nn.Linear, index: int) -> nn.Linear:
    """Take the queries' or the keys' part of a joint projection."""
    part = nn.Linear(layer.in_features, layer.out_features // 2)
    part.weight.data = layer.weight.data.chunk(2)[index].clone()
    part.bias.data = layer.bias.data.chunk(2)[index].clone()
    return part


class TalkingHeads(nn.Module):
    """Attention with spelled-out softmax, talking heads and position bias."""

    def __init__(self, ours: TalkingHeadAttention) -> None:
        super().__init__()
        self.heads = ours.num_heads
        self.max_side = ours.max_side
        self.q, self.k = (_half(ours.query_key, i) for i in (0, 1))
        self.v, self.vconv, self.proj = ours.value, ours.value_conv, ours.proj
        self.proj_l, self.proj_w = ours.talk_logits, ours.talk_weights
        self.table = ours.position_table
        self.indices: dict[tuple[int, ...], Tensor] = {}

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map (N, L, C) to the same shape; size is height and width."""
        n, length, channels = x.shape
        sides = [even_side(n, self.max_side) for n in size]
        value = self.v(x).transpose(1, 2).reshape(n, -1, *size)
        value = self.vconv(value).flatten(2).transpose(1, 2)
        q, k, v = (
            self._heads(self._cut(tokens, size, sides))
            for tokens in (self.q(x), self.k(x), value)
        )
        logits = (q * HEAD_DIM**-0.5) @ k.transpose(-2, -1)
        logits = logits + self._bias(*sides)
        logits = self.proj_l(logits.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        inside = self._cut(x.new_ones(1, length, 1), size, sides)
        if not inside.all():
            hidden = (1 - inside.transpose(1, 2)) * -1e9
            logits = logits + hidden.repeat(n, 1, 1)[:, None]
        weights = logits.softmax(-1)
        weights = self.proj_w(weights.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out = (weights @ v).transpose(1, 2).flatten(2)
        return self._join(self.proj(F.silu(out)), n, size, sides)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _bias(self, height: int, width: int) -> Tensor:
        """Look up the biases of all pairs of pixels, (h, L, L)."""
        if (height, width) not in self.indices:
            grid = torch.meshgrid(
                torch.arange(height), torch.arange(width), indexing='ij'
            )
            places = torch.stack(grid).flatten(1)
            offsets = places[:, :, None] - places[:, None] + TABLE_SIDE - 1
            index = offsets[0] * (2 * TABLE_SIDE - 1) + offsets[1]
            self.indices[height, width] = index
        index = self.indices[height, width]
        bias = self.table[index.flatten()].view(*index.shape, -1)
        return bias.permute(2, 0, 1).contiguous()

    def _cut(self, x: Tensor, size: tuple[int, int], sides: list) -> Tensor:
        """Cut (N, H * W, C) into windows, (N * windows, L, C)."""
        x = x.unflatten(1, size)
        below, right = (-n % side for n, side in zip(size, sides))
        x = F.pad(x, (0, 0, 0, right, 0, below))
        x = x.unflatten(2, (-1, sides[1])).unflatten(1, (-1, sides[0]))
        x = x.permute(0, 1, 3, 2, 4, 5).contiguous()
        return x.flatten(3, 4).flatten(0, 2)

    def _join(
        self, x: Tensor, n: int, size: tuple[int, int], sides: list
    ) -> Tensor:
        """Put windows together again, (N, H * W, C)."""
        rows, columns = (-(-n // side) for n, side in zip(size, sides))
        x = x.view(n, rows, columns, *sides, -1).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(n, rows * sides[0], columns * sides[1], -1)
        return x[:, : size[0], : size[1]].flatten(1, 2)


class Mlp(nn.Module):
    """Feed-forward network."""

    def __init__(self, ours: FeedForward) -> None:
        super().__init__()
        self.linear1, self.linear2 = ours[0], ours[2]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, C) to the same shape."""
        return self.linear2(F.silu(self.linear1(x)))


class Transformer(nn.Module):
    """Attention and two MLPs over tokens."""

    def __init__(self, ours: TransformerBlock) -> None:
        super().__init__()
        self.norm1, self.attn = Norm(ours.norm1), TalkingHeads(ours.attn)
        self.norm2, self.mlp1 = Norm(ours.norm2), Mlp(ours.mlp1)
        self.norm3, self.mlp2 = Norm(ours.norm3), Mlp(ours.mlp2)
        self.scale_attn, self.scale_mlp = ours.scale_attn, ours.scale_mlp
        self.gain = ours.scale_gain

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        size = x.shape[2:]
        x = x.flatten(2).transpose(1, 2).contiguous()
        out = self.attn(self.norm1(x), size)
        x = x + out * self.scale_attn * self.gain
        x = x + self.mlp2(self.norm3(x)) * self.scale_mlp * self.gain
        x = x + self.mlp1(self.norm2(x)) * self.scale_mlp * self.gain
        return x.transpose(1, 2).unflatten(2, size).contiguous()


PLAIN = {
    ConvNormAct: Conv,
    MBConv: InvertedResidual,
    TransformerBlock: Transformer,
}


class EagerNASViT(nn.Module):
    """A pyramid of the same blocks, written plainly.

    Args:
        ours: The backbone whose weights it shares.
    """

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.stem, *stages = (
            nn.Sequential(*(PLAIN[type(block)](block) for block in blocks))
            for blocks in (ours.stem, *ours.stages)
        )
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, 3, H, W) to the levels."""
        x = self.stem(x)
        outs = []
        for stage in self.stages:
            x = stage(x)
            outs.append(x)
        return tuple(outs)


def main() -> None:
    """Print one line for every variant and size."""

    def make_reference(ours: nn.Module) -> nn.Module:
        spread_scales(ours)
        return EagerNASViT(ours)

    names = ('nasvit_min', 'nasvit_t2', 'nasvit_max')
    run_benchmark(__doc__, names, make_reference)


@torch.no_grad()
def spread_scales(backbone: nn.Module) -> None:
    """Give every branch weight: new ones are all but switched off."""
    for module in backbone.modules():
        if isinstance(module, TransformerBlock):
            for scale in (module.scale_attn, module.scale_mlp):
                scale.uniform_(0.5, 1.5).div_(module.scale_gain)
        if isinstance(module, MBConv):
            module.project.norm.weight.uniform_(0.5, 1.5)


if __name__ == '__main__':
    main()
