"""Draw the attention of a pixel, for all families.

Every family cuts its maps with :class:`Windows`, so that attention is mapped
back to pixels by cutting a map of their numbers in the same way.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.backbones import emov2_attention, nasvit_attention
from lvt_dense.models.backbones.emov2_attention import SpanningAttention
from lvt_dense.models.backbones.nasvit_attention import TalkingHeadAttention
from lvt_dense.models.backbones.plg_vit import WINDOW, ParallelAttention
from lvt_dense.models.backbones.t2t_blocks import TokenMapAttention
from lvt_dense.models.backbones.t2t_tokens import TokenTransformer
from lvt_dense.models.layers import Windows


@dataclass
class Look:
    """Where a pixel looks in one layer.

    Attributes:
        heat: (H, W) attention on each position of the map, mean of the heads.
        elsewhere: Attention on padding and on the class token; with the sum
            of ``heat`` it is 1.
    """

    heat: Tensor
    elsewhere: float


@dataclass
class _Layout:
    """How the tokens of the next attention lie on a map.

    Attributes:
        windows: How the map is cut; None for one sequence of all of it.
        grid: Height and width of the map.
        first: Tokens before those of the map, such as the class token.
        is_padded: Whether the map is that of a padded image.
    """

    windows: Windows | None
    grid: tuple[int, int]
    first: int = 0
    is_padded: bool = False

    def numbers(self, device: torch.device) -> Tensor:
        """(windows, tokens) number of the position + 1; 0 is no position."""
        height, width = self.grid
        count = torch.arange(1, height * width + 1, device=device)
        cells = count.view(1, height, width, 1).float()
        found = (
            cells.flatten(1, 2)
            if self.windows is None
            else self.windows.split(cells)
        )[..., 0].long()
        return F.pad(found, (self.first, 0))


@dataclass
class _Watch:
    """What the patched functions share."""

    point: tuple[float, float]
    size: tuple[int, int]
    layout: _Layout | None = None
    looks: list[Look] = field(default_factory=list)

    def add(self, weights_of: Callable[[int, int], Tensor]) -> None:
        """Take the attention of the pixel, given that of a window's token."""
        layout = self.layout
        if layout is None:
            return
        height, width = covered = layout.grid
        if layout.is_padded:
            covered = self._covered(layout.grid)
        x, y = self.point
        row = min(int(y * covered[0]), covered[0] - 1)
        column = min(int(x * covered[1]), covered[1] - 1)
        numbers = layout.numbers(torch.device('cpu'))
        window, token = (
            (numbers == row * width + column + 1).nonzero()[0].tolist()
        )
        weights = weights_of(window, token).detach().float().cpu()
        heat = torch.zeros(height * width + 1)
        heat.index_add_(0, numbers[window], weights)
        inside = heat[1:].view(height, width)[: covered[0], : covered[1]]
        elsewhere = float(weights.sum() - inside.sum())
        self.looks.append(Look(inside, elsewhere))

    def _covered(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Return the part of a padded map that shows the image."""
        stride = 2 ** round(math.log2(self.size[0] / grid[0]))
        rows, columns = (-(-side // stride) for side in self.size)
        return min(rows, grid[0]), min(columns, grid[1])


def watch_attention(
    backbone: nn.Module, images: Tensor, point: tuple[float, float]
) -> list[Look]:
    """Return where a pixel looks in every attention layer, in order.

    T2T-ViT with performers has no attention weights before its trunk, and is
    shown from there on; NASViT's are those before the second mix of the
    heads, which can be negative.

    Args:
        backbone: A backbone of this package in eval mode.
        images: (1, 3, H, W), normalized.
        point: x and y in the image, in [0, 1].
    """
    height, width = images.shape[2:]
    watch = _Watch(point, (height, width))
    with torch.no_grad(), _patched(watch):
        backbone(images)
    return watch.looks


@contextmanager
def _patched(watch: _Watch) -> Iterator[None]:
    """Let every attention tell the watch of its tokens and weights."""
    with ExitStack() as stack:
        for owner, name, extend in (
            (F, 'scaled_dot_product_attention', _watch_sdpa),
            (Windows, 'split', _watch_windows),
            (TalkingHeadAttention, '_attend', _watch_talking),
            (ParallelAttention, '_global', _watch_far),
            (SpanningAttention, '_attend', _watch_spanning),
            (TokenMapAttention, 'forward', _watch_tokens),
            (TokenTransformer, 'forward', _watch_split),
        ):
            new = extend(watch, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, new))
        every = mock.patch.object(
            emov2_attention, 'is_size_free', lambda size: True
        )
        stack.enter_context(every)
        yield


# Each of these takes the watch and a function, and returns one that does the
# same and tells the watch of it.


def _watch_sdpa(watch: _Watch, sdpa: Callable) -> Callable:
    def attend(query: Tensor, key: Tensor, *args: Any, **kw: Any) -> Tensor:
        mask = args[1] if len(args) > 1 else kw.get('attn_mask')

        def weights_of(window: int, token: int) -> Tensor:
            one = query[window, :, token].float()
            logits = _logits(one, key[window].float(), kw.get('scale'))
            if mask is not None:
                own = mask[window if len(mask) > 1 else 0]
                logits = logits + own[:, token]
            return logits.softmax(-1).mean(0)

        watch.add(weights_of)
        return sdpa(query, key, *args, **kw)

    return attend


def _logits(one: Tensor, keys: Tensor, scale: float | None = None) -> Tensor:
    """(heads, tokens) of a query (heads, D) and keys (heads, tokens, D)."""
    scale = scale or one.shape[-1] ** -0.5
    return torch.einsum('hd,hnd->hn', one, keys) * scale


def _watch_windows(watch: _Watch, split: Callable) -> Callable:
    def cut(windows: Windows, x: Tensor, fill: float = 0.0) -> Tensor:
        outer = watch.layout or _Layout(None, (0, 0))
        size = (int(windows.size[0]), int(windows.size[1]))
        watch.layout = _Layout(windows, size, outer.first, outer.is_padded)
        return split(windows, x, fill)

    return cut


def _watch_talking(watch: _Watch, talk: Callable) -> Callable:
    def attend(
        module: TalkingHeadAttention,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        windows: Windows,
    ) -> Tensor:
        def weights_of(window: int, token: int) -> Tensor:
            return _talking_weights(module, query, key, windows)[window][token]

        watch.add(weights_of)
        return talk(module, query, key, value, windows)

    return attend


def _watch_spanning(watch: _Watch, span: Callable) -> Callable:
    def attend(
        module: SpanningAttention,
        maps: Sequence[Tensor],
        windows: Windows,
        pixel: None,
    ) -> Tensor:
        query, key = (
            windows.split(x).unflatten(0, (module.num_heads, -1))
            for x in maps[:2]
        )

        def weights_of(window: int, token: int) -> Tensor:
            one = query[:, window, token].float()
            logits = _logits(one, key[:, window].float())
            return logits.softmax(-1).mean(0)

        # of the map without its padding
        own = Windows(module.size, windows.sides, windows.steps)
        height, width = module.size
        watch.layout = _Layout(own, (height, width))
        watch.add(weights_of)
        return span(module, maps, windows, pixel)

    return attend


def _watch_far(watch: _Watch, far: Callable) -> Callable:
    def attend(module: ParallelAttention, x: Tensor) -> Tensor:
        watch.layout = _Layout(None, (WINDOW, WINDOW))
        return far(module, x)

    return attend


def _watch_tokens(watch: _Watch, tokens: Callable) -> Callable:
    def attend(
        module: TokenMapAttention, x: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        watch.layout = _Layout(None, grid, first=1, is_padded=True)
        try:
            return tokens(module, x, grid)
        finally:
            watch.layout = None

    return attend


def _watch_split(watch: _Watch, soft: Callable) -> Callable:
    def attend(module: TokenTransformer, x: Tensor) -> Tensor:
        kernel, stride, padding = module.split
        height, width = (
            (side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:]
        )
        watch.layout = _Layout(None, (height, width), is_padded=True)
        try:
            return soft(module, x)
        finally:
            watch.layout = None

    return attend


def _talking_weights(
    module: TalkingHeadAttention, query: Tensor, key: Tensor, windows: Windows
) -> Tensor:
    """(B, L, L), mean of the heads after the softmax."""
    places = nasvit_attention.offset_places(windows, query.device)
    table = module.position_biases(*windows.sides)
    logits = torch.matmul(query, key.transpose(2, 3))
    shape = logits.shape
    logits = module.talk_logits.mix(logits.flatten(2))
    logits = logits + nasvit_attention._biases(table, places, places)
    logits = logits.view(shape)
    mask = nasvit_attention.padding_mask(windows, query)
    if mask is not None:
        logits = logits + mask[:, None]
    return logits.softmax(-1).mean(1)


def by_stride(looks: list[Look], size: tuple[int, int]) -> dict[int, Tensor]:
    """Average the layers of each stride, enlarged to the finest of them.

    Args:
        looks: Of :func:`watch_attention`.
        size: Height and width of the image.

    Returns:
        (H_i, W_i) by stride in pixels, each of mass 1.
    """
    groups: dict[int, list[Tensor]] = {}
    for look in looks:
        stride = round(size[0] / look.heat.shape[0])
        groups.setdefault(stride, []).append(look.heat)
    found = {}
    for stride, heats in sorted(groups.items()):
        total = torch.stack(heats).mean(0)
        found[stride] = total / total.sum().clamp(min=1e-12)
    return found
