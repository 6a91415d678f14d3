"""Blocks of T2T-ViT's backbone, and of the paper's architecture study.

Paper: L. Yuan et al., "Tokens-to-Token ViT", ICCV 2021, arXiv 2101.11986,
Section 3.2; see :mod:`.t2t_vit`. Modules are named as in the paper's code.
"""

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import Windows, attend

SE_REDUCTION = 16
Grid = tuple[int, int]


class SqueezeExciteTokens(nn.Module):
    """Scale the channels by a gate that all tokens decide together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // SE_REDUCTION
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        return x * self.fc(x.mean(1, keepdim=True))


class ChannelScale(nn.Module):
    """The "cheap operation" of the ghost variant: one weight a channel.

    The weight has the shape of the grouped 1x1 convolution that the paper's
    code has in its place.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 1).uniform_(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        return x * self.weight.flatten()


class TokenMapAttention(nn.Module):
    """Multi-head self-attention of the class token and the tokens of a map.

    In windows the class token goes with every window, which then holds what
    the network saw in an image of its pretraining; the mean of the results
    is the new class token.

    Args:
        channels: Width of the tokens, a multiple of ``heads``.
        heads: Number of heads.
        window: Longest side of the windows, ``None`` for global attention.
        has_se: Whether squeeze and excitation follows.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: int | None = None,
        has_se: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.make_qkv(channels)
        self.proj = nn.Linear(channels, channels)
        self.se_layer = SqueezeExciteTokens(channels) if has_se else None

    def make_qkv(self, channels: int) -> None:
        """Create the layers that :meth:`project_qkv` needs."""
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)

    def project_qkv(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to queries, keys and values, (B, L, 3 * C)."""
        return self.qkv(x)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Map (B, 1 + H * W, C) to the same shape; ``grid`` is (H, W)."""
        qkv = self.project_qkv(x)
        if self.window is None:
            x = attend(qkv, self.heads)
        else:
            x = self._attend_in_windows(qkv, grid)
        x = self.proj(x)
        return x if self.se_layer is None else self.se_layer(x)

    def _attend_in_windows(self, qkv: Tensor, grid: Grid) -> Tensor:
        windows = Windows.even(grid, self.window)
        cls = qkv[:, :1].repeat_interleave(windows.count, 0)
        tokens = windows.split(qkv[:, 1:].unflatten(1, grid))
        out = attend(torch.cat((cls, tokens), 1), self.heads)
        cls = out[:, :1].unflatten(0, (-1, windows.count)).mean(1)
        tokens = windows.merge(out[:, 1:]).flatten(1, 2)
        return torch.cat((cls, tokens), 1)


class GhostAttention(TokenMapAttention):
    """Half of the queries, keys and values are scaled copies of the rest."""

    def make_qkv(self, channels: int) -> None:
        """Create three linear layers of half the width, and the scales."""
        half = channels // 2
        for name in 'qkv':
            setattr(self, name, nn.Linear(channels, half, bias=False))
            setattr(self, f'cheap_operation_{name}', ChannelScale(half))

    def project_qkv(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to queries, keys and values, (B, L, 3 * C)."""
        parts = []
        for name in 'qkv':
            part = getattr(self, name)(x)
            parts += [part, getattr(self, f'cheap_operation_{name}')(part)]
        return torch.cat(parts, -1)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class GhostFeedForward(nn.Module):
    """Two thirds of the hidden channels are scaled copies of the rest.

    Args:
        channels: Width of the tokens; the hidden one is three times as much.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.cheap_operation2 = ChannelScale(channels)
        self.cheap_operation3 = ChannelScale(channels)
        self.fc2 = nn.Linear(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        x = F.gelu(self.fc1(x))
        copies = [self.cheap_operation2(x), self.cheap_operation3(x)]
        x = torch.cat([x, *(F.gelu(c) for c in copies)], -1)
        return self.fc2(x)


class Block(nn.Module):
    """Pre-norm transformer block without layer scale.

    Args:
        channels: Width of the tokens.
        heads: Heads of the attention.
        mlp_ratio: Hidden width of the feed-forward network over ``channels``.
        variant: 'plain', 'se' or 'ghost'.
        window: See :class:`TokenMapAttention`.
        drop_path: Probability that a branch is left out in training.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        mlp_ratio: int,
        variant: str = 'plain',
        window: int | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.attn: nn.Module
        self.mlp: nn.Module
        if variant == 'ghost':
            self.attn = GhostAttention(channels, heads, window)
            self.mlp = GhostFeedForward(channels)
        else:
            self.attn = TokenMapAttention(
                channels, heads, window, variant == 'se'
            )
            self.mlp = FeedForward(channels, mlp_ratio * channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Map (B, 1 + H * W, C) to the same shape; ``grid`` is (H, W)."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class DenseBlock(Block):
    """Appends what it makes of the tokens to their channels.

    Args:
        channels: Width of the tokens.
        heads: See :class:`Block`, as the arguments below.
        mlp_ratio: See above.
        growth: Channels that are appended.
        window: See above.
        drop_path: See above.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        mlp_ratio: int,
        growth: int,
        window: int | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(
            channels, heads, mlp_ratio, window=window, drop_path=drop_path
        )
        self.dense_linear = nn.Linear(channels, growth)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Map (B, 1 + H * W, C) to (B, 1 + H * W, C + growth)."""
        new = self.dense_linear(super().forward(x, grid))
        return torch.cat((x, new), -1)


class Transition(nn.Module):
    """Halves the channels between two groups of dense blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels // 2)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Map (B, L, C) to (B, L, C / 2)."""
        return F.gelu(self.linear(x))
