"""EMO against itself as its authors wrote it, operation by operation.

    python projects/benchmarks/emo_eager.py

The reference spells out softmax attention, has batch norm as a layer of its
own, and copies tensors after each regrouping: what the official code does,
restated without einops and timm. Both have the same weights, and the largest
difference of their results is printed. The memory is what a forward pass
needs beyond the weights and the input.
"""

from collections.abc import Sequence

from timing import run_benchmark
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6


class ChannelNorm(nn.Module):
    """Layer norm over channels, with a copy before and after it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = self.norm(x.permute(0, 2, 3, 1).contiguous())
        return x.permute(0, 3, 1, 2).contiguous()


class Conv(nn.Module):
    """Convolution, norm and activation one after the other."""

    def __init__(
        self,
        given: int,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = False,
        act: str = 'Identity',
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            given, out, kernel, stride, kernel // 2, 1, groups, bias
        )
        self.norm = nn.BatchNorm2d(out, EPS) if norm else nn.Identity()
        inplace = dict(inplace=True) if act == 'SiLU' else {}
        self.act = getattr(nn, act)(**inplace)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return self.act(self.norm(self.conv(x)))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, channels, 1)
        self.act = nn.SiLU(inplace=True)
        self.conv_expand = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        gate = self.act(self.conv_reduce(x.mean((2, 3), keepdim=True)))
        return x * self.conv_expand(gate).sigmoid()


class Block(nn.Module):
    """Inverted residual mobile block."""

    def __init__(
        self,
        given: int,
        out: int,
        ratio: float,
        kernel: int,
        stride: int,
        heads: int,
        layer_norm: bool,
    ) -> None:
        super().__init__()
        hidden = int(given * ratio)
        self.heads = heads
        self.residual = stride == 1
        self.norm = (
            ChannelNorm(given) if layer_norm else nn.BatchNorm2d(given, EPS)
        )
        if heads:
            self.qk = Conv(given, 2 * given, bias=True)
        act = 'GELU' if layer_norm else 'SiLU'
        self.v = Conv(given, hidden, bias=True, act=act)
        self.conv_local = Conv(
            hidden, hidden, kernel, stride, hidden, norm=True, act='SiLU'
        )
        self.proj = Conv(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        shortcut, x = x, self.norm(x)
        x = self.attend(x) if self.heads else self.v(x)
        local = self.conv_local(x)
        if self.residual:
            return shortcut + self.proj(x + local)
        return self.proj(local)

    def attend(self, x: Tensor, window: int = 7) -> Tensor:
        """Window attention and the expansion of its result."""
        n, c, height, width = x.shape
        x = F.pad(x, (0, -width % window, 0, -height % window))
        rows, columns = x.shape[2] // window, x.shape[3] // window
        x = x.view(n, c, window, rows, window, columns)
        x = x.permute(0, 3, 5, 1, 2, 4).contiguous()
        x = x.view(n * rows * columns, c, window, window)
        qk = self.qk(x).view(len(x), 2, self.heads, -1, window**2)
        q, k = qk.permute(1, 0, 2, 4, 3).contiguous()
        attention = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        attention = attention.softmax(-1)
        value = x.view(len(x), self.heads, -1, window**2)
        value = attention @ value.transpose(2, 3).contiguous()
        x = self.v(value.transpose(2, 3).contiguous().view(x.shape))
        x = x.view(n, rows, columns, -1, window, window)
        x = x.permute(0, 3, 4, 1, 5, 2).contiguous()
        x = x.view(n, -1, rows * window, columns * window)
        return x[:, :, :height, :width].contiguous()


class EagerEMO(nn.Module):
    """EMO with its four stages as outputs.

    Args:
        stem: Channels at stride 2.
        depths: Blocks of the stages.
        channels: Channels of the stages.
        expand_ratios: Hidden width over input width.
        head_dims: Channels of a head.
        drop_path_rate: Not used: the model is measured in eval mode.
    """

    def __init__(
        self,
        stem: int,
        depths: Sequence[int],
        channels: Sequence[int],
        expand_ratios: Sequence[float],
        head_dims: Sequence[int],
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        first = nn.Module()
        first.convs = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(3, stem, 3, 2, 1), nn.BatchNorm2d(stem, EPS)
                )
            ]
        )
        second = nn.Module()
        second.conv_local = Conv(
            stem, stem, 3, groups=stem, norm=True, act='SiLU'
        )
        second.se = Gate(stem)
        second.proj = Conv(stem, stem)
        self.stage0 = nn.ModuleList([first, second])
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
                        5 if late else 3,
                        1 if j else 2,
                        heads,
                        late,
                    )
                )
                given = channels[i]
            setattr(self, f'stage{i + 1}', nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, 3, H, W) to the four levels."""
        first, second = self.stage0
        x = first.convs[0](x)
        x = second.proj(second.se(second.conv_local(x)))
        outs = []
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
            outs.append(x)
        return tuple(outs)


def eager_twin(backbone: nn.Module) -> EagerEMO:
    """Build the same network, same weights, as its authors wrote it."""
    twin = EagerEMO(**backbone.settings)
    names, _ = backbone.layouts[0].to_own({k: k for k in twin.state_dict()})
    own = backbone.state_dict()
    twin.load_state_dict({theirs: own[ours] for ours, theirs in names.items()})
    return twin.eval()


def main() -> None:
    """Print one line for every variant and size."""
    names = ('emo_1m', 'emo_2m', 'emo_5m', 'emo_6m')
    run_benchmark(__doc__, names, eager_twin)


if __name__ == '__main__':
    main()
