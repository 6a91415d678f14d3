"""T2T-ViT: tokens-to-token vision transformer.

Paper: L. Yuan et al., "Tokens-to-Token ViT: Training Vision Transformers from
Scratch on ImageNet", ICCV 2021, arXiv 2101.11986. The networks are those of
the paper's code (yitu-opensource/T2T-ViT, Clear BSD), the architecture study
included; written anew.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.checkpoints import published
from lvt_dense.checkpoints.t2t_vit import LAYOUTS
from lvt_dense.models.layers import even_side, fast_layout
from lvt_dense.registry import MODELS

from .base import PyramidBackbone
from .t2t_blocks import Block, DenseBlock, Grid, Transition
from .t2t_tokens import (
    TOKEN_WIDTH,
    PatchLinear,
    SoftSplit,
    TokenPerformer,
    TokenTransformer,
)

TOKENS = ('performer', 'transformer')
BLOCKS = ('plain', 'dense', 'se', 'ghost')
TRUNK = 2  # the stage that holds the backbone of the paper
PATCH = 16  # pixels of a token side
GROWTH = 64  # of the dense variant


def _arch(
    channels: int,
    depths: tuple[int, ...],
    heads: int,
    mlp_ratio: int,
    tokens: str = 'performer',
    block: str = 'plain',
) -> dict[str, Any]:
    return dict(
        tokens=tokens,
        channels=channels,
        depths=depths,
        heads=heads,
        mlp_ratio=mlp_ratio,
        block=block,
    )


def sinusoid_table(length: int, channels: int) -> Tensor:
    """Compute sine and cosine of every position at falling frequencies.

    Source: A. Vaswani et al., "Attention Is All You Need", Section 3.5.

    Returns:
        (1, length, channels), sines at the even channels.
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]
    channel = torch.arange(channels)
    exponent = (channel - channel % 2).double() / channels
    angle = position / 10000**exponent
    table = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return table[None].float()


class Trunk(nn.Module):
    """The backbone proper: the last soft split and the transformer blocks.

    Args:
        settings: An entry of :attr:`T2TViT.arch_settings`.
        stride: Of the last soft split.
        grid_side: Side of the grid that the position table is made for.
        num_groups: How many of the four groups of blocks to build.
        window: See :class:`T2TViT`.
        drop_path_rates: Stochastic depth of every block.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        stride: int,
        grid_side: int,
        num_groups: int,
        window: int | None,
        drop_path_rates: Sequence[float],
    ) -> None:
        super().__init__()
        channels = settings['channels']
        self.split = SoftSplit(3, stride, 1)
        self.project = PatchLinear(9 * TOKEN_WIDTH, channels)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.grid_side = grid_side
        table = sinusoid_table(1 + grid_side**2, channels)
        self.register_buffer('pos_embed', table)
        self.blocks, self.group_ends = nn.ModuleList(), []
        depths = settings['depths']
        rates = iter(drop_path_rates)
        for group, width in enumerate(_widths(settings)[:num_groups]):
            if group and settings['block'] == 'dense':
                self.blocks.append(Transition(2 * width))
            windows = [window] * (depths[group] - 1) + [None]
            for number, side in enumerate(windows):
                self.blocks.append(
                    _make_block(settings, width, number, side, next(rates))
                )
            self.group_ends.append(len(self.blocks) - 1)
        if num_groups == len(depths):
            self.norm = nn.LayerNorm(_tap_channels(settings)[-1])
        else:
            self.norm = nn.Identity()

    def take_grid(self, table: Tensor) -> None:
        """Make room for a table of positions of another square grid.

        Args:
            table: (1, 1 + side ** 2, C); any other shape changes nothing.
        """
        if table.dim() != 3 or table.shape[2] != self.pos_embed.shape[2]:
            return
        side = math.isqrt(max(table.shape[1] - 1, 0))
        if side and side != self.grid_side and side**2 == table.shape[1] - 1:
            self.grid_side = side
            self.pos_embed = self.pos_embed.new_zeros(table.shape)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        table = state_dict.get(f'{prefix}pos_embed')
        if isinstance(table, Tensor):
            self.take_grid(table)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def embed(self, x: Tensor) -> tuple[Tensor, Grid]:
        """Return tokens with their positions, and the grid they come from.

        Args:
            x: Map of the second token layer, (N, 64, H, W).

        Returns:
            (N, 1 + H' * W', C), the class token first, and (H', W').
        """
        x = self.split.project(x, self.project.weight, self.project.bias)
        grid = x.shape[2:]
        side = self.grid_side
        table = self.pos_embed[:, 1:].unflatten(1, (side, side))
        table = table.permute(0, 3, 1, 2)
        table = F.interpolate(table, size=grid, mode='bicubic')
        tokens = (x + table).flatten(2).transpose(1, 2)
        cls = self.cls_token + self.pos_embed[:, :1]
        return torch.cat((cls.expand(x.shape[0], -1, -1), tokens), 1), grid


def _make_block(
    settings: dict[str, Any],
    width: int,
    number: int,
    window: int | None,
    drop_path: float,
) -> nn.Module:
    """Make block ``number`` of a group that starts with ``width`` channels."""
    heads, ratio = settings['heads'], settings['mlp_ratio']
    variant = settings['block']
    if variant == 'dense':
        width += number * GROWTH
        return DenseBlock(width, heads, ratio, GROWTH, window, drop_path)
    return Block(width, heads, ratio, variant, window, drop_path)


def _widths(settings: dict[str, Any]) -> list[int]:
    """Compute the channels at the start of every group of blocks."""
    widths = [settings['channels']]
    for depth in settings['depths'][:-1]:
        is_dense = settings['block'] == 'dense'
        grown = (widths[-1] + depth * GROWTH) // 2
        widths.append(grown if is_dense else widths[-1])
    return widths


def _tap_channels(settings: dict[str, Any]) -> tuple[int, ...]:
    """Compute the channels at the end of every group of blocks."""
    growth = GROWTH if settings['block'] == 'dense' else 0
    pairs = zip(_widths(settings), settings['depths'])
    return tuple(width + depth * growth for width, depth in pairs)


@MODELS.register_module()
class T2TViT(PyramidBackbone):
    """T2T-ViT as a pyramid.

    Levels 0 and 1 (strides 4 and 8) are the outputs of the two token layers,
    level 2 (stride 16) those of the last block after the final norm, without
    the class token, and level 3 (stride 32) its 2x2 maxima. Necks for plain
    vision transformers take :class:`PlainT2TViT` instead.

    Images are padded with zeros, below and on the right, to whole tokens, and
    the levels are cropped. The table of positions is resized bicubically to
    the grid of tokens.

    With an output stride of 16 level 3 keeps the resolution of level 2, and
    equals it. With 8 the last soft split also loses its stride: four times as
    many tokens, 16 times the work of the attention.

    Stages 0 and 1 are the token layers, stage 2 the blocks; there is no stem.
    Norms are layer norms: ``norm_eval`` changes nothing.

    Args:
        arch: '7', '10', '12', '14', '19' or '24' (performer tokens), 't_14',
            't_19' or 't_24' (transformer tokens), '14_resnext', '14_wide',
            'dense', '14_se' or '16_ghost' (the paper's study), or a dict with
            the keys ``tokens`` ('performer' or 'transformer'), ``channels``,
            ``depths`` (blocks of the four groups), ``heads``, ``mlp_ratio``
            and ``block`` ('plain', 'dense', 'se' or 'ghost').
        window_size: Longest side of the attention windows in tokens of the
            blocks; 14 is what the weights saw in pretraining. The last block
            of each group stays global, as in ViTDet (Y. Li et al., ECCV 2022,
            Section 3), and the windows of transformer tokens cover the same
            pixels. Images are padded further, to whole windows. ``None``
            makes every attention global.
        pretrain_size: Side of the images that the weights were trained on, a
            multiple of 16: 384 for one published file, 224 for the others.
        **shared: ``out_indices``, ``output_stride``, ``frozen_stages``,
            ``norm_eval``, ``with_cp``, ``in_channels``, ``drop_path_rate``
            (0.1 as published) and ``init_cfg``, see
            :class:`PyramidBackbone`.

    Raises:
        UserError: An argument is not one of those there are.
    """

    family = 't2t_vit'
    default_arch = '14'
    default_drop_path_rate = 0.1
    has_batch_norm = False
    layouts = LAYOUTS
    arch_settings = {
        '7': _arch(256, (1, 2, 2, 2), 4, 2),
        '10': _arch(256, (2, 3, 2, 3), 4, 2),
        '12': _arch(256, (3, 3, 3, 3), 4, 2),
        '14': _arch(384, (3, 4, 3, 4), 6, 3),
        '19': _arch(448, (4, 5, 5, 5), 7, 3),
        '24': _arch(512, (6, 6, 6, 6), 8, 3),
        't_14': _arch(384, (3, 4, 3, 4), 6, 3, 'transformer'),
        't_19': _arch(448, (4, 5, 5, 5), 7, 3, 'transformer'),
        't_24': _arch(512, (6, 6, 6, 6), 8, 3, 'transformer'),
        '14_resnext': _arch(384, (3, 4, 3, 4), 32, 3),
        '14_wide': _arch(768, (1, 1, 1, 1), 12, 3),
        'dense': _arch(128, (3, 6, 6, 4), 8, 2, block='dense'),
        '14_se': _arch(384, (3, 4, 3, 4), 6, 3, block='se'),
        '16_ghost': _arch(384, (4, 4, 4, 4), 6, 3, block='ghost'),
    }
    # The architecture study has no weights.
    weights = published.T2T_VIT

    def __init__(
        self,
        arch: str | dict = default_arch,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        *,
        window_size: int | None = None,
        pretrain_size: int = 224,
        **shared: Any,
    ) -> None:
        super().__init__(arch, out_indices, **shared)
        self._check_arch()
        if window_size is not None and window_size < 1:
            raise self._error(
                f'window_size={window_size!r}; give a number of tokens, or '
                'None for global attention'
            )
        if pretrain_size < PATCH or pretrain_size % PATCH:
            raise self._error(
                f'pretrain_size={pretrain_size!r}; give a multiple of '
                f'{PATCH}, 224 for most weights'
            )
        self.window_size = window_size
        self.pretrain_size = pretrain_size

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the four levels."""
        last = _tap_channels(self.settings)[-1]
        return (TOKEN_WIDTH, TOKEN_WIDTH, last, last)

    def make_stem(self) -> nn.Module:
        """Create nothing: the first token layer takes the image."""
        return nn.Identity()

    def make_stage(self, index: int) -> nn.Module:
        """Create a token layer, the trunk, or the pooling of level 3."""
        if index < TRUNK:
            return self._make_tokens(index)
        if index == TRUNK:
            return self._make_trunk(num_groups=len(self.settings['depths']))
        return nn.MaxPool2d(self.stage_stride(index), ceil_mode=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the pyramid, see :meth:`PyramidBackbone.forward`."""
        size = x.shape[2:]
        x = fast_layout(self._padded(x))
        maps = []
        for stage in self.stages[:TRUNK]:
            x = self.run(stage, x)
            maps.append(x)
        if len(self.stages) > TRUNK:
            maps.append(self._run_trunk(x)[-1])
        maps = [
            _cropped(level, size, self.level_stride(index))
            for index, level in enumerate(maps)
        ]
        for pool in self.stages[TRUNK + 1 :]:
            maps.append(pool(maps[-1]))
        return tuple(maps[index].contiguous() for index in self.out_indices)

    def input_axes(self) -> dict[str, int]:
        """Find the tensors whose size follows from ``in_channels``."""
        first = self.stages[0]
        is_performer = isinstance(first, TokenPerformer)
        return {
            'stages.0.norm1.weight': 0,
            'stages.0.norm1.bias': 0,
            f'stages.0.{"kqv" if is_performer else "attn.qkv"}.weight': 1,
        }

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the table of positions, which some files leave out.

        A table of another grid, as in a file that was trained on larger
        images, is taken as it is, and ``pretrain_size`` follows.
        """
        adapted = super().adapt_state(state)
        name = f'stages.{TRUNK}.pos_embed'
        if len(self.stages) > TRUNK:
            trunk = self.stages[TRUNK]
            if name in adapted:
                trunk.take_grid(adapted[name])
                self.pretrain_size = trunk.grid_side * PATCH
            else:
                table = sinusoid_table(*trunk.pos_embed.shape[1:])
                adapted[name] = table
        return adapted

    # --------------------------------------------------------------- internal
    def _check_arch(self) -> None:
        for key, known in (('tokens', TOKENS), ('block', BLOCKS)):
            self._check(f'arch {key}', self.settings[key], known)
        depths = self.settings['depths']
        if len(depths) != 4 or min(depths) < 1:
            raise self._error(
                f'depths={depths!r} in the arch dict; give the number of '
                'blocks of four groups, 1 or more each'
            )

    def _make_tokens(self, index: int) -> nn.Module:
        split = SoftSplit(3, 2, 1) if index else SoftSplit(7, 4, 2)
        in_channels = TOKEN_WIDTH if index else self.in_channels
        if self.settings['tokens'] == 'performer':
            return TokenPerformer(in_channels, split)
        window = self.window_size
        if window is not None:
            window *= self._token_stride // 2 ** (index + 2)
        return TokenTransformer(in_channels, split, window)

    def _make_trunk(self, num_groups: int) -> Trunk:
        return Trunk(
            self.settings,
            self._token_stride // 8,
            self.pretrain_size // PATCH,
            num_groups,
            self.window_size,
            self.drop_path_rates(sum(self.settings['depths'])),
        )

    @property
    def _token_stride(self) -> int:
        """Pixels between the tokens of the trunk."""
        return min(PATCH, self.output_stride)

    def _run_trunk(self, x: Tensor) -> list[Tensor]:
        """Compute a map after each group of blocks; normalize the last one."""
        trunk = self.stages[TRUNK]
        tokens, grid = trunk.embed(x)
        maps = []
        for index, block in enumerate(trunk.blocks):
            tokens = self.run(block, tokens, grid)
            if index in trunk.group_ends:
                maps.append(tokens[:, 1:])
        maps[-1] = trunk.norm(maps[-1])
        return [m.transpose(1, 2).unflatten(2, grid) for m in maps]

    def _padded(self, x: Tensor) -> Tensor:
        """Pad below and on the right to whole tokens and whole windows."""
        units = [self._token_stride] * 2
        if self.window_size is not None:
            units = [
                unit * even_side(-(-length // unit), self.window_size)
                for unit, length in zip(units, x.shape[2:])
            ]
        below, right = (-n % unit for n, unit in zip(x.shape[2:], units))
        return F.pad(x, (0, right, 0, below))


@MODELS.register_module()
class PlainT2TViT(T2TViT):
    """T2T-ViT as a plain transformer: four maps of one stride.

    The maps, of stride 16 (8 with an output stride of 8), are taken after a
    quarter of the blocks each, the last one after the final norm: what necks
    for plain vision transformers take, such as
    :class:`lvt_dense.models.necks.SimpleFPN`. In the dense variant they are
    the ends of its four groups. This is no pyramid, and not listed as a
    backbone that others can be swapped for. Tensors have the same names as in
    :class:`T2TViT`, so that checkpoints fit both.

    Args:
        *args: See :class:`T2TViT`.
        **kwargs: See :class:`T2TViT`.
    """

    is_pyramid = False

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of the four maps."""
        return _tap_channels(self.settings)

    @property
    def num_stages(self) -> int:
        """Token layers and trunk, whatever maps are chosen."""
        return TRUNK + 1

    def level_stride(self, index: int) -> int:
        """Return the stride, which is that of every map."""
        return self._token_stride

    def make_stage(self, index: int) -> nn.Module:
        """Create a token layer, or as much of the trunk as is needed."""
        if index < TRUNK:
            return self._make_tokens(index)
        return self._make_trunk(num_groups=self.out_indices[-1] + 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            x: Images, (N, in_channels, H, W), any H and W of at least 32.

        Returns:
            One map per out index, (N, C_i, ceil(H / 16), ceil(W / 16)).
        """
        size = x.shape[2:]
        x = fast_layout(self._padded(x))
        for stage in self.stages[:TRUNK]:
            x = self.run(stage, x)
        maps = self._run_trunk(x)
        return tuple(
            _cropped(maps[i], size, self._token_stride).contiguous()
            for i in self.out_indices
        )


def _cropped(x: Tensor, size: Sequence[int], stride: int) -> Tensor:
    height, width = (-(-side // stride) for side in size)
    return x[:, :, :height, :width]
