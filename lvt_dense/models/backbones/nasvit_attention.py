"""NASViT's transformer block: talking heads, joint norm, switchable scaling.

Paper: C. Gong et al., "NASViT", ICLR 2022; see :mod:`.nasvit`.
"""

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.layers import Windows

HEAD_DIM = 8  # of queries and keys
VALUE_RATIO = 4  # channels of the values over those of the queries
TABLE_SIDE = 18  # of the largest map that the position tables are made for
GROUP_ENTRIES = 2**21  # attention weights at a time on a CPU
SCALING_WIDTH = 8  # official scaling tables: rows by token count modulo this


def offset_places(windows: Windows, device: torch.device) -> Tensor:
    """Find the places of a window's pixels in a table of offsets.

    The table has 2 * side - 1 offsets along each axis. The difference of two
    places, plus the last place, is where the table has their offset.

    Returns:
        (pixels of a window,).
    """
    high, wide = windows.sides
    rows = torch.arange(high, device=device) * (2 * wide - 1)
    return (rows[:, None] + torch.arange(wide, device=device)).flatten()


def padding_mask(windows: Windows, like: Tensor) -> Tensor | None:
    """Make what keeps padding out of a softmax when added to the logits.

    Args:
        windows: Windows of a map.
        like: Tensor of as many windows, and of the wanted type.

    Returns:
        (windows, 1, pixels of a window), or None without padding.
    """
    if not windows.may_be_padded:
        return None
    # Finite, because a window may consist of padding alone.
    lowest = torch.finfo(like.dtype).min / 2
    mask = like.new_zeros(1, *windows.size, 1)
    mask = windows.split(mask, fill=lowest).transpose(1, 2)
    return mask.repeat(like.shape[0] // windows.count, 1, 1)


def group_sizes(query: Tensor) -> tuple[int, int] | None:
    """Choose how many attention weights to compute at a time on a CPU.

    Larger blocks of memory go back to the system and are mapped anew, which
    takes longer than the products (``projects/benchmarks/speed_tricks.py``).

    Args:
        query: Heads of all windows, (B, h, L, .).

    Returns:
        Windows, and queries of each, at a time; None for all at once.
    """
    if (
        query.device.type != 'cpu'
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    ):
        return None
    batch, heads, length, _ = query.shape
    if batch * heads * length * length <= GROUP_ENTRIES:
        return None
    rows = min(length, max(1, GROUP_ENTRIES // (heads * length)))
    return max(1, GROUP_ENTRIES // (heads * rows * length)), rows


def _biases(table: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """Look up the position biases of some queries, (h, queries * L)."""
    offsets = rows[:, None] - places + places[-1]
    return table.index_select(1, offsets.flatten())


class HeadMix(nn.Linear):
    """Linear mix of the heads, whose bias attention adds by itself.

    A class of its own, so that quantization leaves the weight alone.
    """

    def mix(self, x: Tensor) -> Tensor:
        """Mix (B, h, N) over the heads, without the bias."""
        return torch.bmm(self.weight.expand(x.shape[0], -1, -1), x)


class JointNorm(nn.Module):
    """Layer norm over all pixels and channels of an image at once.

    The official "LN" has one mean and variance for the whole map and scales
    by channel: group norm with a single group. What a batch pads an image
    with therefore shifts the features of the image.
    """

    is_norm = True  # for rules of weight decay

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        x = F.layer_norm(x, x.shape[1:], eps=self.eps)
        return torch.addcmul(self.bias, x, self.weight)


class TalkingHeadAttention(nn.Module):
    """Attention in windows, whose heads mix before and after the softmax.

    Queries and keys have 8 channels a head, values 32 (V expansion 4) and a
    3x3 depthwise convolution over the whole map. Learned biases by relative
    position are added to the logits. Because of the second mix the product
    with the values cannot be left to a fused attention kernel.

    Args:
        channels: Channels of the map, a multiple of 8.
        max_side: Longest side of a window, ``None`` for global attention.
        dilation: Distance of neighbors in a window, and in the convolution.
    """

    def __init__(
        self, channels: int, max_side: int | None, dilation: int
    ) -> None:
        super().__init__()
        values = VALUE_RATIO * channels
        self.num_heads = channels // HEAD_DIM
        self.max_side = max_side
        self.dilation = dilation
        self.query_key = nn.Linear(channels, 2 * channels)
        self.value = nn.Linear(channels, values)
        self.value_conv = nn.Conv2d(
            values,
            values,
            3,
            padding=dilation,
            dilation=dilation,
            groups=values,
            bias=False,
        )
        self.talk_logits = HeadMix(self.num_heads, self.num_heads)
        self.talk_weights = HeadMix(self.num_heads, self.num_heads)
        self.position_table = nn.Parameter(
            torch.empty((2 * TABLE_SIDE - 1) ** 2, self.num_heads)
        )
        nn.init.trunc_normal_(self.position_table, std=0.02)
        self.proj = nn.Linear(values, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        windows = Windows.even(x.shape[1:3], self.max_side, self.dilation)
        value = self.value(x).permute(0, 3, 1, 2)
        value = self.value_conv(value).permute(0, 2, 3, 1)
        query, key = self.query_key(x).chunk(2, -1)
        query = self._heads(windows.split(query * HEAD_DIM**-0.5))
        key = self._heads(windows.split(key))
        value = self._heads(windows.split(value))
        out = self._attend(query, key, value, windows)
        return windows.merge(self.proj(F.silu(out)))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, windows: Windows
    ) -> Tensor:
        """Attend inside the windows.

        Args:
            query: Heads of the windows, (B, h, L, 8).
            key: As ``query``.
            value: (B, h, L, 32).
            windows: How the map is cut.

        Returns:
            Pixels of the windows, (B, L, 4 C).
        """
        mask = padding_mask(windows, query)
        table = self.position_biases(*windows.sides)
        places = offset_places(windows, query.device)
        at_a_time = group_sizes(query)
        if at_a_time is None:
            bias = _biases(table, places, places)
            return self._attend_group(query, key, value, mask, bias)
        count, rows = at_a_time
        keys, values = key.split(count), value.split(count)
        masks = [None] * len(keys) if mask is None else mask.split(count)
        outs = []
        for some, queries in zip(places.split(rows), query.split(rows, 2)):
            bias = _biases(table, some, places)
            groups = zip(queries.split(count), keys, values, masks)
            outs.append(
                torch.cat([self._attend_group(*x, bias) for x in groups])
            )
        return torch.cat(outs, 1)

    def _attend_group(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        bias: Tensor,
    ) -> Tensor:
        """Attend all at once; mask (B, 1, L), bias (h, queries * L)."""
        length = query.shape[2]
        logits = torch.matmul(query, key.transpose(2, 3))
        shape = logits.shape
        logits = self.talk_logits.mix(logits.flatten(2))
        # In place: the products do not need their results for the backward.
        logits.add_(bias)
        if mask is not None:
            logits.add_(mask.expand(-1, length, -1).flatten(1).unsqueeze(1))
        # Half precision stays: the softmax itself computes in float32.
        weights = logits.view(shape).softmax(-1, dtype=logits.dtype)
        weights = self.talk_weights.mix(weights.flatten(2))
        out = torch.matmul(weights.view(shape), value)
        # The bias of the second mix is a weight that all pixels share.
        out = torch.addcmul(
            out,
            value.sum(2, keepdim=True),
            self.talk_weights.bias[:, None, None],
        )
        return out.transpose(1, 2).flatten(2)

    def position_biases(self, height: int, width: int) -> Tensor:
        """Make the biases of the mixed logits, by the offset of two pixels.

        A window of up to 18 pixels takes its part of the table as it is; the
        table is stretched bicubically for a longer one. The first mix of the
        heads is linear: it is applied here to the table, which is small.

        Args:
            height: Of the window, in pixels.
            width: Of the window, in pixels.

        Returns:
            (h, (2 height - 1) (2 width - 1)), the offset (0, 0) in the middle.
        """
        side = 2 * TABLE_SIDE - 1
        table = self.position_table.T.reshape(1, -1, side, side)
        spans = (2 * height - 1, 2 * width - 1)
        # Asked first of what is known, as the size of a graph may be free.
        fits = self.max_side is not None and self.max_side <= TABLE_SIDE
        if not fits and max(spans) > side:
            stretched = [max(span, side) for span in spans]
            table = F.interpolate(table, stretched, mode='bicubic')
        top, left = (
            (have - span) // 2 for have, span in zip(table.shape[2:], spans)
        )
        table = table[0, :, top : top + spans[0], left : left + spans[1]]
        talk = self.talk_logits
        return F.linear(table.flatten(1).T, talk.weight, talk.bias).T


class FeedForward(nn.Sequential):
    """MLP of a hidden width equal to the input's, with SiLU between."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Linear(channels, channels),
            nn.SiLU(),
            nn.Linear(channels, channels),
        )


class TransformerBlock(nn.Module):
    """Attention, then two MLPs, each with its own norm and scaled residual.

    Source: paper, Section 3, as its code has it: both MLPs follow the
    attention, the second one first, and share one row of the switchable
    scaling layer. Of that layer's table a fixed sub-network needs the row of
    its depth and training resolution only; the parameter here is that row.

    Args:
        channels: Channels of the map, a multiple of 8.
        max_side: Longest side of a window, ``None`` for global attention.
        dilation: Of attention and convolution, see
            :class:`TalkingHeadAttention`.
        drop_path_rate: Stochastic depth of each branch.
    """

    def __init__(
        self,
        channels: int,
        max_side: int | None,
        dilation: int,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = JointNorm(channels)
        self.attn = TalkingHeadAttention(channels, max_side, dilation)
        self.norm2 = JointNorm(channels)
        self.mlp1 = FeedForward(channels)
        self.norm3 = JointNorm(channels)
        self.mlp2 = FeedForward(channels)
        self.scale_attn = nn.Parameter(torch.full((channels,), 1e-4))
        self.scale_mlp = nn.Parameter(torch.full((channels,), 1e-4))
        self.scale_gain = SCALING_WIDTH / channels
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape, in channels-last format."""
        x = x.permute(0, 2, 3, 1).contiguous()
        for norm, branch, scale in self._branches():
            out = self.drop_path(branch(norm(x)))
            x = torch.addcmul(x, out, scale, value=self.scale_gain)
        return x.permute(0, 3, 1, 2)

    def _branches(self) -> tuple[tuple[nn.Module, nn.Module, Tensor], ...]:
        return (
            (self.norm1, self.attn, self.scale_attn),
            (self.norm3, self.mlp2, self.scale_mlp),
            (self.norm2, self.mlp1, self.scale_mlp),
        )
