"""Plain models of sub-networks: their config, and a shell without weights."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from lvt_dense.models.backbones.nasvit import PARTS, NASViT
from lvt_dense.swap.feature_readers import Level, find_predictors, rewire
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError

from .slicing import Slice, plan_slices
from .space import Arch, SearchSpace, identify

SHELLS = 8  # that are kept: the largest, the smallest and some random ones


def check_backbone(cfg: Mapping[str, Any]) -> None:
    """Check that a model has NASViT as its backbone.

    Raises:
        UserError: It has another one, or settings that a supernet lacks.
    """
    backbone = cfg.get('backbone')
    if not isinstance(backbone, dict):
        raise UserError('supernet: the module has no backbone')
    if not issubclass(find_class(MODELS, backbone), NASViT):
        raise UserError(
            f'supernet: module.backbone is a {backbone["type"]}; only '
            'lvt_dense.NASViT has a published search space'
        )
    for key in ('with_cp', 'frozen_stages'):
        if backbone.get(key, -1) not in (-1, False):
            raise UserError(
                f'supernet: module.backbone.{key}={backbone[key]!r} is not '
                'possible in a supernet; leave it out'
            )


class SubnetBuilder:
    """Builds plain models with the backbone of a sub-network.

    Args:
        cfg: Config of the model with the largest sub-network.
        space: The search space.
        scope: Registry scope of the types in the config; by default the
            current one.
    """

    def __init__(
        self,
        cfg: Mapping[str, Any],
        space: SearchSpace,
        scope: str | None = None,
    ) -> None:
        self.cfg = ConfigDict(copy.deepcopy(cfg))
        self.cfg['backbone']['arch'] = space.largest
        self.space = space
        self.scope = scope or _current_scope()
        backbone = self._build_empty(space.largest)
        pairs = zip(backbone.out_channels, backbone.out_strides)
        self.levels = [Level(c, s) for c, s in pairs]
        self._indices = backbone.out_indices
        self._wired: dict[tuple, dict] = {}
        self._shells: OrderedDict[str, Shell] = OrderedDict()

    def __deepcopy__(self, memo: dict) -> 'SubnetBuilder':
        # Shells are rebuilt on demand, and copies for averages need none.
        return SubnetBuilder(self.cfg, self.space, self.scope)

    def model_cfg(self, arch: Arch) -> dict[str, Any]:
        """Make the config of the plain model of a sub-network."""
        levels = self._levels_of(arch)
        key = tuple(levels)
        if key not in self._wired:
            cfg = copy.deepcopy(self.cfg)
            cfg['backbone']['init_cfg'] = None
            rewire(cfg, 'module', self.levels, levels, self.scope)
            self._wired[key] = cfg
        cfg = copy.deepcopy(self._wired[key])
        cfg['backbone']['arch'] = copy.deepcopy(arch)
        return cfg

    def build(self, arch: Arch) -> nn.Module:
        """Build the plain model of a sub-network; its weights are random."""
        with DefaultScope.overwrite_default_scope(self.scope):
            return MODELS.build(self.model_cfg(arch))

    def shell(self, arch: Arch, state: Mapping[str, Tensor]) -> 'Shell':
        """Return the shell of a sub-network, a recent one if there is.

        Args:
            arch: The sub-network.
            state: Tensors of the supernet.
        """
        key = identify(arch)
        if key not in self._shells:
            self._shells[key] = self._make_shell(arch, state)
            if len(self._shells) > SHELLS:
                self._shells.popitem(last=False)
        self._shells.move_to_end(key)
        return self._shells[key]

    def channels(self, arch: Arch) -> list[tuple[int, int]]:
        """Pair the channels of each level with those of a sub-network."""
        pairs = zip(self.levels, self._levels_of(arch))
        return [(one.channels, other.channels) for one, other in pairs]

    def plan(
        self,
        arch: Arch,
        subnet: Mapping[str, Tensor],
        supernet: Mapping[str, Tensor],
    ) -> dict[str, Slice]:
        """Find the slices of a sub-network, see :func:`plan_slices`."""
        return plan_slices(
            subnet,
            supernet,
            arch,
            self.space,
            self.channels(arch),
            find_readers(self.cfg),
        )

    def _make_shell(self, arch: Arch, state: Mapping[str, Tensor]) -> 'Shell':
        cfg = self.model_cfg(arch)
        cfg['backbone'] = dict(type=_build_on_meta, cfg=cfg['backbone'])
        # What the constructors draw is thrown away.
        devices = range(torch.cuda.device_count())
        with (
            torch.random.fork_rng(devices=devices),
            DefaultScope.overwrite_default_scope(self.scope),
        ):
            model = MODELS.build(cfg)
        slices = self.plan(arch, model.state_dict(), state)
        device = next(iter(state.values())).device
        return Shell(_empty(model, device), slices)

    def _levels_of(self, arch: Arch) -> list[Level]:
        channels = [arch['width'][PARTS[i][-1]] for i in self._indices]
        return [
            Level(count, level.stride)
            for count, level in zip(channels, self.levels)
        ]

    def _build_empty(self, arch: Arch) -> NASViT:
        settings = dict(self.cfg['backbone'], arch=arch, init_cfg=None)
        settings.pop('type')
        with torch.device('meta'):
            return NASViT(**settings)


def find_readers(cfg: Mapping[str, Any]) -> dict[str, list[int]]:
    """Find what the neck and the heads of a model read.

    Heads behind a neck read the neck's levels; those that the neck passes on
    are the backbone's.

    Args:
        cfg: Config of the model.

    Returns:
        ``in_channels`` by the beginning of the names of a part's tensors.
    """
    parts = [('neck', cfg.get('neck')), *find_predictors(dict(cfg))]
    readers = {}
    for name, value in parts:
        is_list = isinstance(value, (list, tuple))
        for number, part in enumerate(value if is_list else [value]):
            given = part.get('in_channels') if part else None
            if given is not None:
                beginning = f'{name}.{number}.' if is_list else f'{name}.'
                single = isinstance(given, int)
                readers[beginning] = [given] if single else list(given)
    return readers


class Shell:
    """A model without weights, which runs with those of the supernet.

    Attributes:
        model: The model; its parameters are on the meta device.
        slices: Where each of its tensors is in the supernet.
    """

    def __init__(self, model: nn.Module, slices: dict[str, Slice]) -> None:
        self.model = model
        self.slices = slices

    def run(self, state: Mapping[str, Tensor], *args: Any, **kwargs: Any):
        """Call the model with slices of a supernet's tensors."""
        tensors = {name: cut.cut(state) for name, cut in self.slices.items()}
        return torch.func.functional_call(
            self.model, tensors, args, kwargs, tie_weights=False
        )


def _current_scope() -> str:
    current = DefaultScope.get_current_instance()
    return 'mmengine' if current is None else current.scope_name


def _build_on_meta(cfg: dict[str, Any]) -> nn.Module:
    with torch.device('meta'):
        return MODELS.build(cfg)


def _empty(model: nn.Module, device: torch.device) -> nn.Module:
    """Drop the weights; move what else the model holds to a device."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(parameter.to('meta'))
        for name, buffer in module._buffers.items():
            if buffer is not None and not buffer.is_meta:
                module._buffers[name] = buffer.to(device)
    return model.train()


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Collect parameters and buffers of a model as they are, not detached."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def copy_state(
    state: Mapping[str, Tensor], slices: Mapping[str, Slice]
) -> dict[str, Tensor]:
    """Cut a sub-network's tensors out of a supernet's, as copies."""
    return {
        name: cut.cut(state).detach().clone() for name, cut in slices.items()
    }
