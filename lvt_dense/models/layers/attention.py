"""Multi-head self-attention over tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend(qkv: Tensor, num_heads: int, bias: Tensor | None = None) -> Tensor:
    """Attend between the tokens of a sequence.

    Args:
        qkv: Queries, keys and values side by side, (B, L, 3 C).
        num_heads: Number of heads, a divisor of C.
        bias: What is added to the logits, broadcast to (B, heads, L, L).

    Returns:
        (B, L, C).
    """
    batch, length, width = qkv.shape
    channels = width // 3
    qkv = qkv.view(batch, length, 3, num_heads, channels // num_heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()
    out = F.scaled_dot_product_attention(query, key, value, bias)
    out = out.transpose(1, 2)
    if torch.compiler.is_compiling():
        # Exporters may lay the result of attention out anew afterwards.
        out = out.clone(memory_format=torch.contiguous_format)
    return out.reshape(batch, length, channels)


class Attention(nn.Module):
    """Multi-head self-attention with a joint projection to q, k and v.

    Args:
        channels: Width of the tokens, a multiple of ``num_heads``.
        num_heads: Number of heads.
        qkv_bias: Whether queries, keys and values have a bias.
    """

    def __init__(
        self, channels: int, num_heads: int, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, C) to (B, L, C)."""
        return self.proj(attend(self.qkv(x), self.num_heads))
