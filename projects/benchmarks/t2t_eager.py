"""T2T-ViT against itself as its authors wrote it, operation by operation.

    python projects/benchmarks/t2t_eager.py

The reference unfolds the patches of the soft splits into memory, normalizes
and projects them there, and spells out softmax attention: what the official
code does, restated without timm and made to take any multiple of 16 pixels.
Both have the same weights, and the largest difference of their results is
printed. The memory is what a forward pass needs beyond the weights and the
input.
"""

import math
from collections.abc import Sequence

import torch
from timing import SIZES, run_benchmark
from torch import Tensor, nn
from torch.nn import functional as F

TOKEN = 64


class Performer(nn.Module):
    """Token layer with kernel attention."""

    def __init__(self, size: int, features: int = 32) -> None:
        super().__init__()
        self.features = features
        self.kqv = nn.Linear(size, 3 * TOKEN)
        self.proj = nn.Linear(TOKEN, TOKEN)
        self.norm1 = nn.LayerNorm(size)
        self.norm2 = nn.LayerNorm(TOKEN)
        self.mlp = nn.Sequential(
            nn.Linear(TOKEN, TOKEN), nn.GELU(), nn.Linear(TOKEN, TOKEN)
        )
        self.w = nn.Parameter(torch.empty(features, TOKEN), False)

    def prm_exp(self, x: Tensor) -> Tensor:
        """Positive random features."""
        half_norm = x.square().sum(-1, keepdim=True)
        half_norm = half_norm.repeat(1, 1, self.features) / 2
        product = torch.einsum('bti,mi->btm', x, self.w)
        return torch.exp(product - half_norm) / math.sqrt(self.features)

    def forward(self, x: Tensor) -> Tensor:
        """Map patches (B, L, size) to tokens (B, L, 64)."""
        k, q, v = self.kqv(self.norm1(x)).split(TOKEN, -1)
        k, q = self.prm_exp(k), self.prm_exp(q)
        total = torch.einsum('bti,bi->bt', q, k.sum(1)).unsqueeze(2)
        kv = torch.einsum('bin,bim->bnm', v, k)
        y = torch.einsum('bti,bni->btn', q, kv)
        y = y / (total.repeat(1, 1, TOKEN) + 1e-8)
        x = v + self.proj(y)
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Softmax attention spelled out."""

    def __init__(self, size: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (size // heads) ** -0.5
        self.is_token = size != width
        self.qkv = nn.Linear(size, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, size) to (B, L, width)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = ((q @ k.transpose(-2, -1)) * self.scale).softmax(-1)
        out = self.proj((weights @ v).transpose(1, 2).flatten(2))
        return v.squeeze(1) + out if self.is_token else out


class Mlp(nn.Module):
    """Feed-forward network."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, width) to the same shape."""
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Transformer block, or token layer with softmax attention."""

    def __init__(self, size: int, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size)
        self.attn = Attention(size, width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, ratio * width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, size) to (B, L, width)."""
        out = self.attn(self.norm1(x))
        x = out if self.attn.is_token else x + out
        return x + self.mlp(self.norm2(x))


class EagerT2TViT(nn.Module):
    """T2T-ViT with its maps at strides 4, 8 and 16 as outputs.

    Args:
        tokens: 'performer' or 'transformer'.
        channels: Width of the blocks.
        depths: Blocks of the four groups.
        heads: Heads of the blocks.
        mlp_ratio: Hidden width over ``channels``.
        block: Only 'plain'.
    """

    def __init__(
        self,
        tokens: str,
        channels: int,
        depths: Sequence[int],
        heads: int,
        mlp_ratio: int,
        block: str,
    ) -> None:
        super().__init__()
        module = nn.Module()
        for i, size in ((1, 3 * 7**2), (2, TOKEN * 3**2)):
            layer = (
                Performer(size)
                if tokens == 'performer'
                else Block(size, TOKEN, 1, 1)
            )
            module.add_module(f'attention{i}', layer)
        module.project = nn.Linear(TOKEN * 3**2, channels)
        self.tokens_to_token = module
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, channels), False)
        self.blocks = nn.ModuleList(
            Block(channels, channels, heads, mlp_ratio)
            for _ in range(sum(depths))
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, 3, H, W) to three levels; sides are multiples of 16."""
        module, maps = self.tokens_to_token, []
        sides = x.shape[2] // 4, x.shape[3] // 4
        x = F.unfold(x, 7, 1, 2, 4).transpose(1, 2)
        for layer in (module.attention1, module.attention2):
            x = layer(x).transpose(1, 2).unflatten(2, sides)
            maps.append(x)
            x = F.unfold(x, 3, 1, 1, 2).transpose(1, 2)
            sides = sides[0] // 2, sides[1] // 2
        x = module.project(x)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1)
        x = x + self.positions(sides)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)[:, 1:].transpose(1, 2).unflatten(2, sides)
        return *maps, x

    def positions(self, sides: tuple[int, int]) -> Tensor:
        """Table of positions for a grid, (1, 1 + H * W, C)."""
        cls, table = self.pos_embed.split((1, 196), 1)
        table = table.transpose(1, 2).unflatten(2, (14, 14))
        table = F.interpolate(table, size=sides, mode='bicubic')
        return torch.cat((cls, table.flatten(2).transpose(1, 2)), 1)


def eager_twin(backbone: nn.Module) -> EagerT2TViT:
    """Build the same network, same weights, as its authors wrote it."""
    twin = EagerT2TViT(**backbone.settings)
    names, _ = backbone.layouts[0].to_own({k: k for k in twin.state_dict()})
    own = backbone.state_dict()
    twin.load_state_dict({theirs: own[ours] for ours, theirs in names.items()})
    if backbone.settings['tokens'] != 'performer':
        # The attention of transformer tokens at 800 x 1344 takes 17 GiB.
        twin.sizes = SIZES[:2]
    return twin


def main() -> None:
    """Print one line for every variant and size."""
    names = ('t2t_vit_7', 't2t_vit_14', 't2t_vit_t_14')
    run_benchmark(__doc__, names, eager_twin, rounds=7)


if __name__ == '__main__':
    main()
