"""The contract of every backbone: a pyramid with one level per stride.

::

    image  (N, 3, H, W)
      | stem                                 strides
      v
    stages[0] -> level 0  (N, C0, H/4,  W/4)    4
      v
    stages[1] -> level 1  (N, C1, H/8,  W/8)    8
      v
    stages[2] -> level 2  (N, C2, H/16, W/16)  16   (8 if output_stride is 8)
      v
    stages[3] -> level 3  (N, C3, H/32, W/32)  32   (8 or 16 likewise)

Level ``i`` has stride ``2 ** (i + 2)`` in every family, so replacing one
family by another changes channel counts only, and those the backbone knows.
"""

import inspect
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from lvt_dense.checkpoints import Layout
from lvt_dense.checkpoints.records import IMAGENET_NORM, WeightFile
from lvt_dense.models.layers import fast_layout, frozen_batch_statistics
from lvt_dense.registry import MODELS
from lvt_dense.utils.errors import UserError

from .pretrained import load_backbone, title_of

OUTPUT_STRIDES = (8, 16, 32)
RGB = 3  # channels that published weights are for


class _BuildAfterInit(ABCMeta):
    """Builds a backbone once the constructor of its family has run."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        backbone = super().__call__(*args, **kwargs)
        backbone.build()
        return backbone


class PyramidBackbone(BaseModule, metaclass=_BuildAfterInit):
    """Base class of the light vision transformers.

    A family sets the class attributes, takes what is its own in ``__init__``
    and hands the rest on, and describes its layers in
    :attr:`stage_channels`, :meth:`make_stem` and :meth:`make_stage`. The
    layers are created when ``__init__`` has returned.

    Args:
        arch: Name of a variant in :attr:`arch_settings`, or a dict with the
            same keys as its entries; ``None`` for the default one.
        out_indices: Levels to return, in ascending order, or a single one.
            Negative ones count from the end.
        output_stride: Largest stride of levels 0 to 3: 8, 16 or 32. The later
            stages then keep the resolution instead of halving it.
        frozen_stages: -1 trains everything; ``k >= 0`` freezes the stem and
            stages 0 to k-1, parameters and batch statistics.
        norm_eval: Keep every batch norm in eval mode during training.
        with_cp: Recompute the blocks in the backward pass to save memory.
        in_channels: Channels of the images. Pretrained weights for RGB images
            are summed for a single channel, and repeated and scaled for
            another number.
        drop_path_rate: Stochastic depth of the last block, growing linearly
            from 0 at the first; ``None`` takes the published value.
        init_cfg: Initialization as in MMEngine. ``dict(type='Pretrained',
            checkpoint='official')`` loads the published weights of the
            variant; ``checkpoint`` may also be a file or URL in any official
            layout of the family or ours. With ``flip_stem=True`` the input
            channels of the first layer are reversed (BGR to RGB or back).

    Raises:
        UserError: An argument is not one of those there are.
    """

    family: ClassVar[str]
    arch_settings: dict[str, dict[str, Any]]
    default_arch: ClassVar[str]
    num_levels: int = 4
    # Whether level i has stride 2 ** (i + 2). A class whose levels share one
    # stride says no, and is no choice of list_backbones() and swap_backbone().
    is_pyramid: bool = True
    # Whether norm_cfg sets batch norms, so that it may be SyncBN.
    has_batch_norm: bool = True
    layouts: tuple[Layout, ...] = ()
    # Published files by variant, the official one first.
    weights: Mapping[str, tuple[WeightFile, ...]] = {}
    # ImageNet top-1 in percent, as published, of variants without a file.
    reported_top1: ClassVar[Mapping[str, float]] = {}
    default_drop_path_rate: ClassVar[float] = 0.0
    default_init: ClassVar[Sequence[dict]] = (
        dict(type='TruncNormal', layer='Linear', std=0.02),
        dict(
            type='Kaiming',
            layer='Conv2d',
            mode='fan_out',
            nonlinearity='relu',
        ),
        dict(
            type='Constant',
            layer=['_BatchNorm', 'GroupNorm', 'LayerNorm'],
            val=1.0,
        ),
    )
    # Of the images that the published weights were trained on, in the terms
    # of the data preprocessors of MMDetection and MMSegmentation.
    input_norm: Mapping[str, Any] = IMAGENET_NORM

    def __init__(
        self,
        arch: str | dict[str, Any] | None = None,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        output_stride: int = 32,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        in_channels: int = RGB,
        drop_path_rate: float | None = None,
        init_cfg: dict | Sequence[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or list(self.default_init))
        self.settings = self._settings_of(arch or self.default_arch)
        self.out_indices = self._levels_of(out_indices)
        self._check('output_stride', output_stride, OUTPUT_STRIDES)
        self.output_stride = output_stride
        if frozen_stages not in range(-1, self.num_stages + 1):
            raise self._error(
                f'frozen_stages={frozen_stages!r}; choose -1 (none) to '
                f'{self.num_stages} (stem and all stages)'
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        if not isinstance(in_channels, int) or in_channels < 1:
            raise self._error(
                f'in_channels={in_channels!r}; give the number of channels '
                'of the images, such as 1 or 3'
            )
        self.in_channels = in_channels
        if drop_path_rate is None:
            drop_path_rate = self.settings.get(
                'drop_path_rate', self.default_drop_path_rate
            )
        if not 0 <= drop_path_rate < 1:
            raise self._error(
                f'drop_path_rate={drop_path_rate!r}; give a probability from '
                '0 to below 1'
            )
        self.drop_path_rate = drop_path_rate

    # ------------------------------------------------- what a family provides
    @property
    @abstractmethod
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of every level that the variant has."""

    def make_stem(self) -> nn.Module:
        """Create the layers before stage 0."""
        raise NotImplementedError

    def make_stage(self, index: int) -> nn.Module:
        """Create stage ``index``; an ``nn.Sequential`` of blocks."""
        raise NotImplementedError

    def build(self) -> None:
        """Create the stem and the stages that the chosen levels need.

        This runs by itself at the end of the construction. A class that has
        another forward pass creates its layers here.
        """
        self.stem = self.make_stem()
        self.stages = nn.ModuleList(
            self.make_stage(i) for i in range(self.num_stages)
        )
        self._freeze()

    @property
    def num_stages(self) -> int:
        """Stages that the chosen levels need."""
        return self.out_indices[-1] + 1

    def drop_path_rates(self, num_blocks: int) -> list[float]:
        """Return the stochastic depth of every block of the whole network."""
        return np.linspace(0, self.drop_path_rate, num_blocks).tolist()

    def input_axes(self) -> dict[str, int]:
        """Find the tensors whose size follows from ``in_channels``.

        Returns:
            By name, the axis along which each runs over the input channels,
            or over equally many entries of each channel.
        """
        for name, module in self.stem.named_modules():
            if isinstance(module, nn.Conv2d):
                return {f'stem.{name}.weight': 1}
        return {}

    # ------------------------------------------------------- what a user sees
    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the returned levels."""
        return tuple(self.stage_channels[i] for i in self.out_indices)

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Strides of the returned levels."""
        return tuple(self.level_stride(i) for i in self.out_indices)

    @property
    def level_indices(self) -> tuple[int, ...]:
        """Levels that the variant has, whether they are returned or not."""
        return tuple(range(self.num_levels))

    def has_output_stride(self, output_stride: int) -> bool:
        """Whether the variant can be built with an output stride."""
        return output_stride in OUTPUT_STRIDES

    def level_stride(self, index: int) -> int:
        """Compute the stride of level ``index`` for the chosen output stride.

        A fifth level, where a family has one, halves the fourth.
        """
        stride = min(2 ** (min(index, 3) + 2), self.output_stride)
        return stride * 2 ** max(index - 3, 0)

    def stage_stride(self, index: int) -> int:
        """Compute the stride of stage ``index``: 2, or 1 if it is dilated."""
        before = self.level_stride(index - 1) if index else 2
        return self.level_stride(index) // before

    def stage_dilation(self, index: int) -> int:
        """Divide the published stride of a level by the chosen one."""
        return 2 ** (index + 2) // self.level_stride(index)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            x: Images, (N, in_channels, H, W), any H and W of at least 32.

        Returns:
            One map per out index, (N, C_i, ceil(H / s_i), ceil(W / s_i)).
        """
        x = self.run(self.stem, fast_layout(x))
        outs = []
        for index, stage in enumerate(self.stages):
            x = self.run(stage, x)
            if index in self.out_indices:
                # deformable convolutions of mmcv take no other layout
                outs.append(x.contiguous())
        return tuple(outs)

    def run(self, module: nn.Module, x: Tensor, *args: Any) -> Tensor:
        """Run a module, block by block with recomputation if ``with_cp``.

        Args:
            module: A block, or an ``nn.Sequential`` of blocks.
            x: Input of the first block.
            *args: What a block that is run alone takes besides.
        """
        if not (self.with_cp and torch.is_grad_enabled()):
            return module(x, *args)
        blocks = module if isinstance(module, nn.Sequential) else [module]
        for block in blocks:
            x = checkpoint(
                block,
                x,
                *args,
                use_reentrant=False,
                context_fn=lambda block=block: frozen_batch_statistics(block),
            )
        return x

    def train(self, mode: bool = True) -> 'PyramidBackbone':
        """Set the mode, and keep what is frozen in eval mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def init_weights(self) -> None:
        """Initialize at random, or from an official or own checkpoint.

        Raises:
            UserError: The checkpoint is of no known layout, or leaves a
                tensor of the backbone unfilled.
        """
        init_cfg, pretrained = self.init_cfg, self._pretrained()
        if pretrained is not None:
            self.init_cfg = list(self.default_init)
        super().init_weights()
        self.init_cfg = init_cfg
        if pretrained is not None:
            pretrained.pop('type')
            load_backbone(self, **pretrained, families=families().values())
        else:
            print_log(
                f'{title_of(self)} is initialized with random weights',
                logger='current',
            )

    def _dump_init_info(self) -> None:
        """Leave out MMEngine's list of every tensor of a lone backbone.

        Of a whole model it goes into the log file, for a backbone alone it
        would fill the screen.
        """

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Fit converted tensors to the arguments of this backbone.

        Args:
            state: Tensors of a checkpoint under our keys.

        Returns:
            The tensors, with those of the first layer for ``in_channels``
            channels. A family adds what a file may lack because the
            arguments determine it.
        """
        adapted = dict(state)
        if self.in_channels == RGB:
            return adapted
        for name, axis in self.input_axes().items():
            expected = self.get_parameter(name).shape[axis]
            entries = expected // self.in_channels  # of one channel
            value = adapted.get(name)
            if value is not None and value.shape[axis] == RGB * entries:
                adapted[name] = adapt_channels(value, axis, self.in_channels)
        return adapted

    def convert_foreign(
        self, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor] | None:
        """Convert a checkpoint that is of none of the layouts.

        Args:
            state: Tensors of the file.

        Returns:
            Tensors under our keys; None if there is no way.
        """
        return None

    @torch.no_grad()
    def flip_input_channels(self) -> None:
        """Make weights for BGR images fit RGB ones, or the other way round.

        Raises:
            UserError: The images have other channels than these.
        """
        if self.in_channels not in (1, RGB):
            raise self._error(
                f'in_channels={self.in_channels}: only the channels of RGB '
                'and BGR images can be flipped'
            )
        for name, axis in self.input_axes().items():
            param = self.get_parameter(name)
            channels = param.unflatten(axis, (self.in_channels, -1))
            param.copy_(channels.flip(axis).flatten(axis, axis + 1))

    # --------------------------------------------------------------- internal
    def _error(self, message: str) -> UserError:
        return UserError(f'{type(self).__name__}: {message}')

    def _check(self, name: str, value: Any, allowed: Sequence) -> None:
        """Refuse a value that is not one of ``allowed``."""
        if value not in allowed:
            raise self._error(
                f'{name}={value!r}; choose one of '
                f'{", ".join(map(repr, allowed))}'
            )

    def _settings_of(self, arch: str | dict[str, Any]) -> dict[str, Any]:
        known = self.arch_settings
        keys = list(known[self.default_arch])
        if not isinstance(arch, Mapping):
            if not isinstance(arch, str) or arch not in known:
                raise self._error(
                    f'arch={arch!r}; choose one of {", ".join(known)}, or '
                    f'give a dict with the keys {", ".join(keys)}'
                )
            return known[arch]
        lacking, unknown = set(keys) - set(arch), set(arch) - set(keys)
        if lacking or unknown:
            raise self._error(
                f'the arch dict lacks {sorted(lacking)} and has unknown '
                f'{sorted(unknown)}'
            )
        return dict(arch)

    def _levels_of(self, out_indices: int | Sequence[int]) -> tuple[int, ...]:
        """Check the chosen levels, and count them from the first."""
        levels = self.num_levels
        given: Any = out_indices
        if isinstance(given, int):
            given = (given,)
        is_list = isinstance(given, Iterable) and not isinstance(given, dict)
        indices = list(given) if is_list else []
        if all(type(i) is int for i in indices):
            indices = [i + levels if i < 0 else i for i in indices]
            legal = all(0 <= i < levels for i in indices)
            if indices and legal and sorted(set(indices)) == indices:
                return tuple(indices)
        names = ', '.join(
            f'{i} (stride {2 ** (i + 2)})' for i in range(levels)
        )
        raise self._error(
            f'out_indices={out_indices!r}; give one, or an ascending list '
            f'without doubles, of the levels {names}; negative ones count '
            'from the end'
        )

    def _pretrained(self) -> dict | None:
        cfgs = self.init_cfg
        for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs:
            if cfg['type'] == 'Pretrained':
                return dict(cfg)
        return None

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield self.stem
            yield from self.stages[: self.frozen_stages]

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.eval()
            module.requires_grad_(False)


def adapt_channels(value: Tensor, axis: int, in_channels: int) -> Tensor:
    """Fit a tensor for RGB images to another number of channels.

    A single channel gets the sum of the three, so that a gray image has the
    same result as its copy in RGB; more channels repeat the three, scaled so
    that the sum stays. Of vectors, which are those of norms, the mean is
    taken instead, and nothing is scaled.

    Args:
        value: Tensor with as many entries for each channel along ``axis``.
        axis: Axis of the channels.
        in_channels: Wanted number of channels.
    """
    is_norm = value.ndim == 1
    channels = value.unflatten(axis, (RGB, -1))
    if in_channels == 1:
        keep = dict(dim=axis, keepdim=True)
        channels = channels.mean(**keep) if is_norm else channels.sum(**keep)
    else:
        index = torch.arange(in_channels, device=value.device) % RGB
        channels = channels.index_select(axis, index)
        if not is_norm:
            channels = channels * (RGB / in_channels)
    return channels.flatten(axis, axis + 1)


def families() -> dict[str, type[PyramidBackbone]]:
    """Find every registered family, by name.

    A registered subclass that sets no ``family`` of its own goes by its class
    name. Abstract classes, those that are no pyramids, and those that list no
    variants are left out.
    """
    classes = (
        cls
        for cls in MODELS.module_dict.values()
        if isinstance(cls, type) and issubclass(cls, PyramidBackbone)
    )
    return {
        cls.__dict__.get('family', cls.__name__): cls
        for cls in classes
        if cls.is_pyramid and not inspect.isabstract(cls) and cls.arch_settings
    }
