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
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

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

from .pretrained import load_backbone, title_of

OUTPUT_STRIDES = (8, 16, 32)


class PyramidBackbone(BaseModule):
    """Base class of the light vision transformers.

    A family sets the class attributes, describes its stages in
    :attr:`stage_channels`, :meth:`make_stem` and :meth:`make_stage`, and ends
    its ``__init__`` with :meth:`build`.

    Args:
        arch: Name of a variant in :attr:`arch_settings`, or a dict with the
            same keys as its entries.
        out_indices: Levels to return, in ascending order. Negative ones count
            from the end.
        output_stride: Largest stride of levels 0 to 3: 8, 16 or 32. The later
            stages then keep the resolution instead of halving it.
        frozen_stages: -1 trains everything; ``k >= 0`` freezes the stem and
            stages 0 to k-1, parameters and batch statistics.
        norm_eval: Keep every batch norm in eval mode during training.
        with_cp: Recompute the blocks in the backward pass to save memory.
        init_cfg: Initialisation as in MMEngine. ``dict(type='Pretrained',
            checkpoint='official')`` loads the published weights of the
            variant; ``checkpoint`` may also be a file or URL in any official
            layout of the family or ours. With ``flip_stem=True`` the input
            channels of the first layer are reversed (BGR to RGB or back).

    Raises:
        ValueError: ``arch``, ``out_indices``, ``output_stride`` or
            ``frozen_stages`` is not one of those there are.
    """

    family: ClassVar[str]
    arch_settings: ClassVar[dict[str, dict[str, Any]]]
    default_arch: ClassVar[str]
    num_levels: ClassVar[int] = 4
    layouts: ClassVar[tuple[Layout, ...]] = ()
    # Published files by variant, the official one first.
    weights: ClassVar[Mapping[str, tuple[WeightFile, ...]]] = {}
    # ImageNet top-1 in percent, as published, of variants without a file.
    reported_top1: ClassVar[Mapping[str, float]] = {}
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
    input_norm: ClassVar[Mapping[str, Any]] = IMAGENET_NORM

    def __init__(
        self,
        arch: str | dict[str, Any],
        *,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        output_stride: int = 32,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | Sequence[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or list(self.default_init))
        self.settings = self._settings_of(arch)
        self.out_indices = self._checked_levels(out_indices)
        if output_stride not in OUTPUT_STRIDES:
            raise ValueError(
                f'{type(self).__name__}: output_stride={output_stride!r}; '
                f'choose one of {OUTPUT_STRIDES}'
            )
        self.output_stride = output_stride
        num_stages = self.num_stages
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(
                f'{type(self).__name__}: frozen_stages={frozen_stages!r}; '
                f'choose -1 (none) to {num_stages} (stem and all '
                f'{num_stages} stages)'
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp

    # ------------------------------------------------- what a family provides
    @property
    @abstractmethod
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of every level that the variant has."""

    @abstractmethod
    def make_stem(self) -> nn.Module:
        """The layers before stage 0."""

    @abstractmethod
    def make_stage(self, index: int) -> nn.Module:
        """Stage ``index``; an ``nn.Sequential`` of blocks."""

    def build(self) -> None:
        """Create the stem and the stages that the chosen levels need."""
        self.stem = self.make_stem()
        self.stages = nn.ModuleList(
            self.make_stage(i) for i in range(self.num_stages)
        )
        self._freeze()

    @property
    def num_stages(self) -> int:
        """Stages that the chosen levels need."""
        return self.out_indices[-1] + 1

    # ------------------------------------------------------- what a user sees
    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the returned levels."""
        return tuple(self.stage_channels[i] for i in self.out_indices)

    @property
    def out_strides(self) -> tuple[int, ...]:
        """Strides of the returned levels."""
        return tuple(self.level_stride(i) for i in self.out_indices)

    def level_stride(self, index: int) -> int:
        """Stride of level ``index``, given the chosen output stride.

        A fifth level, where a family has one, halves the fourth.
        """
        stride = min(2 ** (min(index, 3) + 2), self.output_stride)
        return stride * 2 ** max(index - 3, 0)

    def stage_stride(self, index: int) -> int:
        """Stride of the first block of stage ``index``: 2, or 1 if dilated."""
        before = self.level_stride(index - 1) if index else 2
        return self.level_stride(index) // before

    def stage_dilation(self, index: int) -> int:
        """How far the published stride of a level exceeds the chosen one."""
        return 2 ** (index + 2) // self.level_stride(index)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            x: Images, (N, 3, H, W), any H and W of at least 32.

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
        """Initialise at random, or from an official or own checkpoint.

        Raises:
            lvt_dense.errors.UserError: The checkpoint is of no known layout,
                or leaves a tensor of the backbone unfilled.
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
                f'{title_of(self)} starts from random weights',
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
            The tensors, with those added that a file may lack because the
            arguments determine them.
        """
        return dict(state)

    @torch.no_grad()
    def flip_input_channels(self) -> None:
        """Make weights for BGR images fit RGB ones, or the other way round."""
        for module in self.stem.modules():
            if isinstance(module, nn.Conv2d) and module.in_channels == 3:
                module.weight.copy_(module.weight.flip(1))

    # --------------------------------------------------------------- internal
    def _settings_of(self, arch: str | dict[str, Any]) -> dict[str, Any]:
        known = self.arch_settings
        if isinstance(arch, str):
            if arch not in known:
                raise ValueError(
                    f'{type(self).__name__}: arch={arch!r}; choose one of '
                    f'{", ".join(known)}, or give a dict with the keys '
                    f'{", ".join(known[self.default_arch])}'
                )
            return known[arch]
        expected, given = set(known[self.default_arch]), set(arch)
        if given != expected:
            raise ValueError(
                f'{type(self).__name__}: the arch dict lacks '
                f'{sorted(expected - given)} and has unknown '
                f'{sorted(given - expected)}'
            )
        return dict(arch)

    def _checked_levels(self, out_indices: Sequence[int]) -> tuple[int, ...]:
        levels = self.num_levels
        indices = [i + levels if i < 0 else i for i in out_indices]
        legal = all(0 <= i < levels for i in indices)
        if not indices or not legal or sorted(set(indices)) != indices:
            names = ', '.join(
                f'{i} (stride {2 ** (i + 2)})' for i in range(levels)
            )
            raise ValueError(
                f'{type(self).__name__}: out_indices={tuple(out_indices)}; '
                f'give ascending, distinct ones of the levels {names}; '
                'negative ones count from the end'
            )
        return tuple(indices)

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


def families() -> dict[str, type[PyramidBackbone]]:
    """Every registered family by name.

    A registered subclass that sets no ``family`` of its own goes by its class
    name; abstract classes are left out.
    """
    classes = {
        cls.__dict__.get('family', cls.__name__): cls
        for cls in MODELS.module_dict.values()
        if isinstance(cls, type) and issubclass(cls, PyramidBackbone)
    }
    return {k: v for k, v in classes.items() if not inspect.isabstract(v)}
