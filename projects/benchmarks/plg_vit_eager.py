"""LW PLG-ViT against itself written as its paper has it.

    python projects/benchmarks/plg_vit_eager.py

There is no official code. The reference takes the paper's operations one by
one: softmax attention spelled out, layer norm over permuted copies,
activations of their own, the output of the global window enlarged before it
is projected, maps with the channels first. Both have the same weights, and
the largest difference of their results is printed. The memory is what a
forward pass needs beyond the weights and the input.
"""

import torch
from timing import run_benchmark
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.backbones import plg_vit
from lvt_dense.models.backbones.plg_vit import WINDOW
from lvt_dense.models.layers import ConvNormAct, LayerNorm2d, SqueezeExcite


class Norm(nn.Module):
    """Layer norm over channels, with a copy before and after it."""

    def __init__(self, ours: LayerNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = ours.weight, ours.bias, ours.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x.permute(0, 2, 3, 1).contiguous()
        x = F.layer_norm(x, x.shape[3:], self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2).contiguous()


class Conv(nn.Module):
    """Convolution and activation one after the other."""

    def __init__(self, ours: ConvNormAct) -> None:
        super().__init__()
        self.conv, self.act = ours.conv, ours.act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return self.act(self.conv(x))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, ours: SqueezeExcite) -> None:
        super().__init__()
        self.reduce, self.expand = Conv(ours.reduce), ours.expand

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        gate = self.expand(self.reduce(F.adaptive_avg_pool2d(x, 1)))
        return x * gate.sigmoid()


class WindowAttention(nn.Module):
    """Spelled-out attention with position bias, without its projection."""

    def __init__(self, ours: plg_vit.WindowAttention) -> None:
        super().__init__()
        self.heads, self.qkv = ours.num_heads, ours.qkv
        self.table, self.index = ours.bias_table, ours.bias_index

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, WINDOW ** 2, C) to the same shape."""
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        bias = self.table[:, self.index.flatten()]
        logits = logits + bias.view(1, -1, *self.index.shape)
        out = logits.softmax(-1) @ v
        return out.transpose(1, 2).flatten(2)


class ParallelAttention(nn.Module):
    """Local and global attention side by side."""

    def __init__(self, ours: plg_vit.ParallelAttention) -> None:
        super().__init__()
        self.widths, self.light = ours.widths, ours.light
        self.local_attn = WindowAttention(ours.local_attn)
        self.local_proj = ours.local_attn.proj
        self.global_attn = WindowAttention(ours.global_attn)
        self.global_proj = ours.global_attn.proj
        self.proj = ours.proj

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        near, far = x.split(self.widths, dim=1)
        return self.proj(torch.cat([self._local(near), self._global(far)], 1))

    def _local(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        x = x.permute(0, 2, 3, 1)
        x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        rows, columns = x.shape[1] // WINDOW, x.shape[2] // WINDOW
        x = x.reshape(n, rows, WINDOW, columns, WINDOW, c)
        x = x.permute(0, 1, 3, 2, 4, 5).contiguous()
        x = self.local_attn(x.view(-1, WINDOW**2, c))
        x = self.local_proj(x).view(n, rows, columns, WINDOW, WINDOW, c)
        x = x.permute(0, 1, 3, 2, 4, 5).contiguous()
        x = x.view(n, rows * WINDOW, columns * WINDOW, c)
        return x[:, :height, :width].permute(0, 3, 1, 2).contiguous()

    def _global(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        pooled = F.adaptive_max_pool2d(x, WINDOW)
        if not self.light:
            pooled = pooled + F.adaptive_avg_pool2d(x, WINDOW)
        out = self.global_attn(pooled.flatten(2).transpose(1, 2))
        out = out.transpose(1, 2).unflatten(2, (WINDOW, WINDOW))
        out = F.interpolate(out, size, mode='bilinear')
        out = self.global_proj(out.flatten(2).transpose(1, 2))
        return out.transpose(1, 2).unflatten(2, size)


class ConvFFN(nn.Module):
    """Feed-forward network with a depthwise convolution."""

    def __init__(self, ours: plg_vit.ConvFFN) -> None:
        super().__init__()
        self.expand, self.depthwise = Conv(ours.expand), Conv(ours.depthwise)
        self.response_norm, self.project = ours.response_norm, ours.project

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = self.expand(x)
        out = self.depthwise(x)
        if self.response_norm is not None:
            out = torch.cat([x, self._normalize(out)], 1)
        return F.conv2d(out, self.project.weight, self.project.bias)

    def _normalize(self, x: Tensor) -> Tensor:
        norm = torch.norm(x, p=2, dim=(2, 3), keepdim=True)
        scale = norm / (norm.mean(1, keepdim=True) + 1e-6)
        grn = self.response_norm
        return grn.weight * (x * scale) + grn.bias + x


class Block(nn.Module):
    """Attention and feed-forward network."""

    def __init__(self, ours: plg_vit.Block) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(ours.norm1), Norm(ours.norm2)
        self.attn = ParallelAttention(ours.attn)
        self.ffn = ConvFFN(ours.ffn)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class DownSampling(nn.Module):
    """Fused-MBConv and strided convolution."""

    def __init__(self, ours: plg_vit.DownSampling) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(ours.norm1), Norm(ours.norm2)
        depthwise, gate, pointwise = ours.mix
        self.mix = nn.Sequential(Conv(depthwise), Gate(gate), pointwise)
        if isinstance(ours.reduce, ConvNormAct):
            self.reduce = Conv(ours.reduce)
        else:
            self.reduce = nn.Sequential(ours.reduce[0], Conv(ours.reduce[1]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        x = self.norm1(x)
        return self.norm2(self.reduce(x + self.mix(x)))


class EagerPLGViT(nn.Module):
    """A pyramid of the same blocks, written plainly.

    Args:
        ours: The backbone whose weights it shares.
    """

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.stem = Conv(ours.stem)
        self.stages = nn.ModuleList(
            nn.Sequential(DownSampling(first), *map(Block, blocks))
            for first, *blocks in ours.stages
        )

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
        for module in ours.modules():
            if isinstance(module, plg_vit.GlobalResponseNorm):
                nn.init.trunc_normal_(module.weight)  # new ones are zero
        return EagerPLGViT(ours)

    names = ('plg_vit_lw_r', 'plg_vit_lw_a', 'plg_vit_tiny')
    run_benchmark(__doc__, names, make_reference)


if __name__ == '__main__':
    main()
