"""Tokens-to-token layers: soft splits, and attention between the tokens.

Paper: L. Yuan et al., "Tokens-to-Token ViT", ICCV 2021, arXiv 2101.11986,
Section 3.1; see :mod:`.t2t_vit`. Modules are named as in the paper's code.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import Windows, at_least_single

from .t2t_blocks import FeedForward

TOKEN_WIDTH = 64  # of the tokens at strides 4 and 8
NUM_FEATURES = 32  # random features of the performer, half the width
DROPOUT = 0.1  # of the performer, in training
EPS = 1e-8  # of the performer's denominator


def single_precision(x: Tensor) -> AbstractContextManager:
    """Make a context without autocast on the device of ``x``."""
    # Only where it is on: exported graphs and the meta device have none.
    device = x.device.type
    if not x.is_meta and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


class PatchLinear(nn.Linear):
    """Linear layer over patches, whose weight soft splits use by itself.

    A class of its own, so that quantization leaves the weight alone.
    """


class SoftSplit(NamedTuple):
    """Overlapping square patches of a map, in pixels of the map."""

    kernel: int
    stride: int
    padding: int

    def project(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Apply a linear layer to the patches: a convolution.

        Args:
            x: Map, (N, C, H, W).
            weight: (D, C * kernel * kernel).
            bias: (D,) or ``None``.

        Returns:
            One token a patch, (N, D, H', W').
        """
        weight = weight.unflatten(1, (-1, self.kernel, self.kernel))
        return F.conv2d(x, weight, bias, self.stride, self.padding)

    def mean(self, x: Tensor) -> Tensor:
        """Average every patch, (N, C, H, W) to (N, 1, H', W')."""
        x = x.mean(1, keepdim=True)
        return F.avg_pool2d(x, self.kernel, self.stride, self.padding)

    def norm_project(
        self, x: Tensor, norm: nn.LayerNorm, linear: nn.Linear
    ) -> Tensor:
        """Normalize every patch, then apply a linear layer to it.

        As the norm is affine in a patch but for its deviation, both are one
        convolution, whose result is divided by that; the patches themselves
        never exist. The weights of an output sum to zero, so that the mean of
        a patch drops out. Single precision, also under autocast: a patch of
        one color is scaled up by ``1 / sqrt(eps)``.

        Returns:
            (N, D, H', W'), of the type of the weights.
        """
        with single_precision(x):
            x = at_least_single(x)
            weight = at_least_single(linear.weight)
            shift = (weight * at_least_single(norm.bias)).sum(1)
            if linear.bias is not None:
                shift = shift + at_least_single(linear.bias)
            weight = weight * at_least_single(norm.weight)
            weight = weight - weight.mean(1, keepdim=True)
            variance = self.mean(x.square()) - self.mean(x).square()
            scale = torch.rsqrt(variance.clamp(min=0) + norm.eps)
            tokens = self.project(x, weight)
            shift = shift[:, None, None]
            if torch.is_grad_enabled():
                tokens = torch.addcmul(shift, tokens, scale)
            else:  # no copy of the largest tensor of the network
                tokens.mul_(scale).add_(shift)
            return tokens.to(linear.weight.dtype)


def kernel_attention(
    query: Tensor, key: Tensor, value: Tensor, features: Tensor
) -> Tensor:
    """Attend with positive random features, linear in the tokens.

    Source: K. Choromanski et al., "Rethinking Attention with Performers",
    ICLR 2021, Lemma 1. A feature of x is ``exp(w x - |x|^2 / 2) / sqrt(m)``.
    Such exponentials under- and overflow at norms that occur in training, so
    the largest exponent of every feature of the keys, and then of every
    query, is taken out: the denominator is 1 at least. What the largest
    exponents amount to only matters next to ``EPS``, by which the published
    weights fade attention out where no key is near the query.

    Args:
        query: (B, L, C).
        key: (B, L, C).
        value: (B, L, D).
        features: The directions w, (m, C).

    Returns:
        (B, L, D), of single precision at least.
    """
    query, key, value, features = (
        at_least_single(x) for x in (query, key, value, features)
    )
    query, key = (
        x @ features.t() - 0.5 * x.square().sum(-1, keepdim=True)
        for x in (query, key)
    )
    key_max = key.detach().amax(1, keepdim=True)
    key = torch.exp(key - key_max)
    query = query + key_max
    query_max = query.detach().amax(2, keepdim=True)
    query = torch.exp(query - query_max)
    total = query @ key.sum(1).unsqueeze(2)
    # a / (a + eps), with a = total * exp(query_max) / m, by its logarithm
    logit = total.log() + query_max - math.log(EPS * features.shape[0])
    scale = torch.sigmoid(logit) / total
    return query @ (key.transpose(1, 2) @ value) * scale


class TokenPerformer(nn.Module):
    """Soft split, then linear attention and feed-forward network.

    All in single precision: autocast is off inside. The values and not the
    input are added to the result of the attention.

    Args:
        in_channels: Channels of the map.
        split: Its patches.
    """

    def __init__(self, in_channels: int, split: SoftSplit) -> None:
        super().__init__()
        width, size = TOKEN_WIDTH, in_channels * split.kernel**2
        self.split = split
        self.norm1 = nn.LayerNorm(size)
        self.kqv = PatchLinear(size, 3 * width)
        directions = nn.init.orthogonal_(torch.empty(NUM_FEATURES, width))
        self.register_buffer('w', directions * NUM_FEATURES**0.5)
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(DROPOUT)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.Dropout(DROPOUT),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 64, H', W')."""
        with single_precision(x):
            x = self.split.norm_project(x, self.norm1, self.kqv)
            size = x.shape[2:]
            key, query, value = x.flatten(2).transpose(1, 2).chunk(3, -1)
            out = kernel_attention(query, key, value, self.w).to(x.dtype)
            x = value + self.dropout(self.proj(out))
            first, activation, second, dropout = self.mlp
            hidden = activation(first(self.norm2(x)))
            x = x + dropout(second(hidden))
            return x.transpose(1, 2).unflatten(2, size)


class TokenAttention(nn.Module):
    """Single-head attention that adds the values to its result.

    Args:
        size: Channels of a patch. The logits are scaled by them and not by
            the width of the head, as in the paper's code.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = size**-0.5
        self.qkv = PatchLinear(size, 3 * TOKEN_WIDTH, bias=False)
        self.proj = nn.Linear(TOKEN_WIDTH, TOKEN_WIDTH)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map queries, keys and values (B, L, 3 * 64) to (B, L, 64)."""
        query, key, value = qkv.unsqueeze(1).chunk(3, -1)
        out = F.scaled_dot_product_attention(
            query, key, value, scale=self.scale
        )
        return value.squeeze(1) + self.proj(out.squeeze(1))


class TokenTransformer(nn.Module):
    """Soft split, then softmax attention and feed-forward network.

    Args:
        in_channels: Channels of the map.
        split: Its patches.
        window: Longest side of the windows of the attention, in tokens;
            ``None`` for global attention.
    """

    def __init__(
        self, in_channels: int, split: SoftSplit, window: int | None
    ) -> None:
        super().__init__()
        size = in_channels * split.kernel**2
        self.split = split
        self.window = window
        self.norm1 = nn.LayerNorm(size)
        self.attn = TokenAttention(size)
        self.norm2 = nn.LayerNorm(TOKEN_WIDTH)
        self.mlp = FeedForward(TOKEN_WIDTH, TOKEN_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 64, H', W')."""
        x = self.split.norm_project(x, self.norm1, self.attn.qkv)
        size = x.shape[2:]
        if self.window is None:
            x = self.attn(x.flatten(2).transpose(1, 2))
        else:
            windows = Windows.even(size, self.window)
            x = self.attn(windows.split(x.permute(0, 2, 3, 1)))
            x = windows.merge(x).flatten(1, 2)
        x = x + self.mlp(self.norm2(x))
        return x.transpose(1, 2).unflatten(2, size)
