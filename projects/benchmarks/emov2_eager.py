"""EMOv2 against itself as its authors wrote it, operation by operation.

    python projects/benchmarks/emov2_eager.py

The reference spells out softmax attention, computes both of its passes also
where they agree, on the padded map, has batch norm as a layer of its own, and
copies tensors after each regrouping: what the official code does, restated
without einops and timm. Both have the same weights, and the largest difference
of their results is printed. The memory is what a forward pass needs beyond the
weights and the input.
"""

from collections.abc import Sequence

import torch
from emo_eager import EPS, ChannelNorm, Conv
from timing import run_benchmark
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Expansion with near and remote window attention."""

    def __init__(
        self, given: int, hidden: int, heads: int, window: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.qk = Conv(given, 2 * given, bias=True)
        self.v = Conv(given, hidden, bias=True, act='GELU')

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, hidden, H, W)."""
        height, width = x.shape[2:]
        window = self.window
        x = F.pad(x, (0, -width % window, 0, -height % window))
        q, k = self.qk(x).chunk(2, 1)
        v = self.v(x)
        near = self.attend(q, k, v, (0, 2, 4, 1, 3, 5))
        remote = self.attend(q, k, v, (0, 3, 5, 1, 2, 4))
        return (near + remote)[:, :, :height, :width].contiguous()

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, order: Sequence[int]
    ) -> Tensor:
        """Attend in one kind of windows.

        Args:
            q: Queries, (N, C, H, W).
            k: Keys, (N, C, H, W).
            v: Values, (N, hidden, H, W).
            order: Axes that bring the windows to the front.
        """
        n, _, height, width = q.shape
        window = self.window
        rows, columns = height // window, width // window
        is_near = order[1] == 2
        cut = (
            (rows, window, columns, window)
            if is_near
            else (window, rows, window, columns)
        )

        def split(x: Tensor) -> Tensor:
            x = x.view(n, x.shape[1], *cut).permute(order).contiguous()
            x = x.view(n * rows * columns, self.heads, -1, window**2)
            return x.transpose(2, 3).contiguous()

        q, k, v = map(split, (q, k, v))
        attention = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        out = attention.softmax(-1) @ v
        out = out.transpose(2, 3).contiguous()
        out = out.view(n, rows, columns, -1, window, window)
        back = torch.tensor(order).argsort().tolist()
        return out.permute(back).contiguous().view(n, -1, height, width)


class Block(nn.Module):
    """Inverted residual mobile block of EMOv2."""

    def __init__(
        self,
        given: int,
        out: int,
        ratio: float,
        stride: int,
        heads: int,
        late: bool,
        window: int,
    ) -> None:
        super().__init__()
        hidden = int(given * ratio)
        self.residual = stride == 1
        self.norm = ChannelNorm(given) if late else nn.BatchNorm2d(given, EPS)
        if heads:
            expand = Attention(given, hidden, heads, window)
        else:
            expand = nn.Module()
            act = 'GELU' if late else 'SiLU'
            expand.net = Conv(given, hidden, bias=True, act=act)
            expand.forward = expand.net.forward
        self.eops = nn.ModuleList([expand])
        self.conv_local = Conv(
            hidden, hidden, 5, stride, hidden, norm=True, act='SiLU'
        )
        self.proj = Conv(hidden, out)
        self.ls = nn.Module()
        self.ls.gamma = nn.Parameter(torch.ones(1, out, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        shortcut, x = x, self.eops[0](self.norm(x))
        local = self.conv_local(x)
        if self.residual:
            local = x + local
        x = self.proj(local).mul_(self.ls.gamma)
        return shortcut + x if self.residual else x


class EagerEMOv2(nn.Module):
    """EMOv2 with its four stages as outputs.

    Args:
        depths: Blocks of the stages.
        channels: Channels of the stages.
        expand_ratios: Hidden width over input width.
        head_dims: Channels of a head.
        drop_path_rate: Not used: the model is measured in eval mode.
        window: Side of the windows.
    """

    def __init__(
        self,
        depths: Sequence[int],
        channels: Sequence[int],
        expand_ratios: Sequence[float],
        head_dims: Sequence[int],
        drop_path_rate: float,
        window: int,
    ) -> None:
        super().__init__()
        stem = channels[0] // 2
        self.stage0 = nn.Sequential(
            Conv(3, stem, 3, 2, bias=True, norm=True, act='SiLU'),
            Conv(stem, stem, 3, groups=stem, norm=True, act='SiLU'),
            Conv(stem, stem),
        )
        given = stem
        for i in range(4):
            late = i > 1
            blocks = []
            for j in range(depths[i]):
                heads = channels[i] // head_dims[i] if late and j else 0
                blocks.append(
                    Block(
                        given,
                        channels[i],
                        expand_ratios[i] * (1 if j else 2),
                        1 if j else 2,
                        heads,
                        late,
                        window,
                    )
                )
                given = channels[i]
            setattr(self, f'stage{i + 1}', nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, 3, H, W) to the four levels."""
        x = self.stage0(x)
        outs = []
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
            outs.append(x)
        return tuple(outs)


def eager_twin(backbone: nn.Module) -> EagerEMOv2:
    """Build the same network, same weights, as its authors wrote it."""
    (window,) = set(backbone.window_sizes)
    twin = EagerEMOv2(**backbone.settings, window=window)
    names, _ = backbone.layouts[0].to_own({k: k for k in twin.state_dict()})
    own = backbone.state_dict()
    twin.load_state_dict({theirs: own[ours] for ours, theirs in names.items()})
    return twin.eval()


def main() -> None:
    """Print one line for every variant and size."""
    run_benchmark(__doc__, ('emov2_1m', 'emov2_2m', 'emov2_5m'), eager_twin)


if __name__ == '__main__':
    main()
