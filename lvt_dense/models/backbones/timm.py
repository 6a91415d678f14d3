"""Any network of timm (PyTorch Image Models) as a pyramid.

R. Wightman, https://github.com/huggingface/pytorch-image-models.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lvt_dense.checkpoints.timm import (
    TimmLayout,
    input_norm,
    timm_key,
    weight_file,
)
from lvt_dense.models.layers import (
    fast_layout,
    frozen_batch_statistics,
    separate_activations,
)
from lvt_dense.registry import MODELS
from lvt_dense.utils.errors import UserError

from .base import OUTPUT_STRIDES, RGB, PyramidBackbone
from .timm_networks import (
    PREFIX,
    features,
    find_network,
    import_timm,
)

NORMS = ('BN', 'SyncBN')
# With these EfficientViM adds up the logits of its stages.
HEAD_WEIGHTS = {'weights', 'weights_dist'}


@MODELS.register_module()
class Timm(PyramidBackbone):
    """A network of timm under the contract of the light transformers.

    Levels are chosen by their stride: level i has stride ``2 ** (i + 2)``
    whatever timm's index of it is, and networks without some of the strides
    have the other levels. Sizes are rounded up as everywhere here; where a
    network does otherwise, its images are padded with zeros on the right and
    below. A network of one stride (a plain vision transformer) returns four
    maps of stride 16 instead, from a quarter of the blocks each and normed,
    which :class:`lvt_dense.models.necks.SimpleFPN` turns into a pyramid; its
    patches are resampled to 16 pixels.

    timm's norms with an activation inside (``BatchNormAct2d``) are taken
    apart, so that neither folding nor ``SyncBN`` loses the activation.

    Args:
        arch: Name of a network, with the tag of its weights or without, such
            as ``'fastvit_t8.apple_in1k'``; or a dict of ``name`` and further
            arguments of ``timm.create_model``. A network that is built for
            one size of images needs ``img_size=(H, W)`` there; smaller ones
            are padded.
        out_indices: Levels to return; by default those of strides 4 to 32
            that there are, or the four maps.
        output_stride: 8 or 16 for networks that timm builds so.
        frozen_stages: See :class:`PyramidBackbone`; the stem is what comes
            before the first level.
        norm_eval: See :class:`PyramidBackbone`.
        with_cp: See :class:`PyramidBackbone`.
        in_channels: See :class:`PyramidBackbone`.
        drop_path_rate: Stochastic depth; by default timm's for the network.
        norm_cfg: ``dict(type='SyncBN')`` makes every batch norm one over all
            processes.
        init_cfg: See :class:`PyramidBackbone`.

    Raises:
        UserError: timm cannot be imported, has no such network, or the
            network cannot do what is asked for.
    """

    family = 'timm'
    arch_settings = {}  # any name of timm's
    default_arch = ''
    default_init = ()  # timm's own

    def __init__(
        self,
        arch: str | dict[str, Any] | None = None,
        out_indices: int | Sequence[int] | None = None,
        output_stride: int = 32,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        in_channels: int = RGB,
        drop_path_rate: float | None = None,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict | Sequence[dict] | None = None,
    ) -> None:
        self._check('output_stride', output_stride, OUTPUT_STRIDES)
        self._check('norm_cfg', (norm_cfg or {}).get('type', 'BN'), NORMS)
        settings = self._settings_of(arch)
        args = {k: v for k, v in settings.items() if k != 'name'}
        self.network = find_network(settings['name'], args, output_stride)
        self.num_levels = max(self.network.taps) + 1
        self.is_pyramid = self.network.is_pyramid
        self.has_batch_norm = self.network.has_batch_norm
        self.drops_paths = drop_path_rate is not None
        self.norm_cfg = norm_cfg
        if out_indices is None:
            out_indices = [i for i in self.network.taps if i < 4]
        super().__init__(
            arch,
            out_indices,
            output_stride,
            frozen_stages,
            norm_eval,
            with_cp,
            in_channels,
            drop_path_rate,
            init_cfg,
        )
        self._describe_weights()

    # ----------------------------------------------------------------- layers
    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of every level; 0 for one that the network lacks."""
        channels = self.network.channels
        return tuple(channels.get(i, 0) for i in range(self.num_levels))

    @property
    def level_indices(self) -> tuple[int, ...]:
        """Levels that the network has."""
        return tuple(self.network.taps)

    def has_output_stride(self, output_stride: int) -> bool:
        """Whether timm builds the network with an output stride."""
        settings = {k: v for k, v in self.settings.items() if k != 'name'}
        try:
            find_network(self.settings['name'], settings, output_stride)
        except UserError:
            return False
        return True

    def level_stride(self, index: int) -> int:
        """Return the stride of level ``index``."""
        return self.network.strides[index]

    def build(self) -> None:
        """Create the network, without what the chosen levels do not need."""
        kwargs: dict[str, Any] = {}
        if self.in_channels != RGB:
            kwargs['in_chans'] = self.in_channels
        if self.drops_paths:
            kwargs['drop_path_rate'] = self.drop_path_rate
        trunk: Any = self.network.build(**kwargs)
        whole = list(trunk.state_dict())
        self.taps = trunk.prune_intermediate_layers(
            [self.network.taps[i] for i in self.out_indices],
            prune_norm=self.is_pyramid,
            prune_head=True,
        )
        for name in HEAD_WEIGHTS.intersection(trunk._parameters):
            delattr(trunk, name)
        self.first_convs = trunk.pretrained_cfg.get('first_conv') or ()
        self.trunk: nn.Module = separate_activations(trunk)
        if (self.norm_cfg or {}).get('type') == 'SyncBN':
            self.trunk = nn.SyncBatchNorm.convert_sync_batchnorm(self.trunk)
        trunk.is_init = True  # by timm; MMEngine asks this
        self.layouts = (TimmLayout(self.state_dict(), whole),)
        if self.with_cp:
            for block in _blocks(self.trunk):
                block.forward = partial(_recompute, block)
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the levels.

        Args:
            x: Images, (N, in_channels, H, W), any H and W of at least 32.

        Returns:
            One map per out index, (N, C_i, ceil(H / s_i), ceil(W / s_i)).
        """
        height, width = x.shape[2:]
        below, right = self.network.padding(height, width)
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        if self.network.is_channels_last:
            x = fast_layout(x)
        maps = features(self.trunk, x, self.taps, norm=not self.is_pyramid)
        return tuple(
            m[..., : -(-height // s), : -(-width // s)].contiguous()
            for m, s in zip(maps, self.out_strides)
        )

    # ---------------------------------------------------------------- weights
    def input_axes(self) -> dict[str, int]:
        """Find the first convolutions, see :class:`PyramidBackbone`."""
        names = self.first_convs
        found = {}
        for name in [names] if isinstance(names, str) else names:
            conv = self.trunk.get_submodule(name)
            if getattr(conv, 'in_channels', None) == self.in_channels:
                found[f'trunk.{name}.weight'] = 1
        return found

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Fit tensors to the number of channels, positions and patches."""
        own = self.state_dict()
        adapted = super().adapt_state(state)
        misfits = [
            key
            for key, value in own.items()
            if key in adapted and adapted[key].shape != value.shape
        ]
        if not misfits or own.keys() - adapted.keys():
            return adapted
        # of a classifier, the rest is as good as any
        kwargs = dict(num_classes=0, in_chans=self.in_channels)
        rest = self.network.build(**kwargs).state_dict()
        named = {timm_key(key): value for key, value in adapted.items()}
        resampled = self._load_by_timm({**rest, **named}, **kwargs)
        return adapted if resampled is None else resampled

    def convert_foreign(
        self, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor] | None:
        """Convert weights of the network's authors, as timm does.

        Args:
            state: Tensors of a file.

        Returns:
            Our tensors; None if timm cannot load the file strictly either.
        """
        return self._load_by_timm(state)

    def _load_by_timm(
        self, state: Mapping[str, Tensor], **kwargs: Any
    ) -> dict[str, Tensor] | None:
        try:
            loaded = import_timm(self.network.name).create_model(
                self.network.name,
                pretrained=True,
                pretrained_cfg_overlay=dict(state_dict=dict(state)),
                **{**self.network.args, **kwargs},
            )
        except Exception:  # its converters take their own files for granted
            return None
        found = loaded.state_dict()
        own, _ = self.layouts[0].to_own(found)
        return own

    def _describe_weights(self) -> None:
        timm = import_timm(self.network.name)
        cfg = timm.get_pretrained_cfg(self.network.name)
        title, _, _ = self.network.name.partition('.')
        record = weight_file(f'{title}.{cfg.tag}' if cfg.tag else title, cfg)
        name = self.settings['name']
        self.arch_settings = {name: self.settings}
        self.weights = {name: (record,)} if record else {}
        self.input_norm = input_norm(cfg)

    # --------------------------------------------------------------- internal
    def _settings_of(
        self, arch: str | dict[str, Any] | None
    ) -> dict[str, Any]:
        settings = dict(name=arch) if isinstance(arch, str) else arch
        if not settings or not isinstance(settings.get('name'), str):
            raise self._error(
                f'arch={arch!r}; give the name of a network of timm, or a '
                'dict of name and arguments of timm.create_model'
            )
        name = settings['name'].removeprefix(PREFIX)
        return {**settings, 'name': name}

    def _levels_of(self, out_indices: int | Sequence[int]) -> tuple[int, ...]:
        levels = super()._levels_of(out_indices)
        lacking = [i for i in levels if i not in self.network.taps]
        if lacking:
            names = ', '.join(
                f'{i} (stride {stride})'
                for i, stride in self.network.strides.items()
            )
            raise self._error(
                f'{self.network.name} has no level {lacking[0]}, but the '
                f'levels {names}'
            )
        return levels

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages < 0:
            return
        names = self.network.modules
        before = [i for i in names if i < self.frozen_stages]
        level = before[-1] if before else min(names)
        if names[level] not in dict(self.trunk.named_modules()):
            raise self._error(
                f'frozen_stages={self.frozen_stages}: the stages of '
                f'{self.network.name} are no modules of their own; choose -1'
            )
        yield from _modules_up_to(self.trunk, names[level], bool(before))

    def _freeze(self) -> None:
        super()._freeze()
        if self.frozen_stages >= 0:
            # positions and class tokens
            for parameter in self.trunk.parameters(recurse=False):
                parameter.requires_grad_(False)


def _modules_up_to(
    root: nn.Module, name: str, is_inclusive: bool
) -> Iterator[nn.Module]:
    """List what is registered before a module, and the module itself."""
    first, _, rest = name.partition('.')
    for child_name, child in root.named_children():
        if child_name != first:
            yield child
        elif rest:
            yield from _modules_up_to(child, rest, is_inclusive)
            return
        else:
            if is_inclusive:
                yield child
            return


def _blocks(trunk: nn.Module) -> Iterator[nn.Module]:
    """Find the blocks that are worth recomputing, each as a whole."""
    for child in trunk.children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            for stage in child:
                yield from _blocks_of(stage)
        elif any(True for _ in child.children()):
            yield from _blocks_of(child)


def _blocks_of(stage: nn.Module) -> Iterator[nn.Module]:
    inner: Any = getattr(stage, 'blocks', stage)
    nested = isinstance(inner, (nn.Sequential, nn.ModuleList))
    for block in inner if nested else [stage]:
        if any(True for _ in block.children()):
            yield block


def _recompute(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    forward = partial(type(block).forward, block)
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(
        forward,
        *args,
        use_reentrant=False,
        context_fn=lambda: frozen_batch_statistics(block),
        **kwargs,
    )
