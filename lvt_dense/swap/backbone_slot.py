"""The places in a config where a backbone is, and the exchange there."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

from mmengine.logging import print_log
from mmengine.registry import MODELS

from lvt_dense.models.backbones import PyramidBackbone
from lvt_dense.models.backbones.base import OUTPUT_STRIDES
from lvt_dense.models.backbones.pretrained import title_of
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import describe_error

from .feature_readers import (
    IMAGE_SIDE,
    Level,
    backbone_levels,
    build_part,
    guess_levels,
    rewire,
)

# Arguments of MMDetection's and MMSegmentation's models that hold a whole
# model; others with a backbone in them are trained already, as the
# re-identification network of a tracker.
WRAPPED = ('detector', 'module')
MOST_LEVELS = 6  # that are made of maps of one stride
NECK_CHANNELS = 256  # of the pyramid that is made of maps of one stride


def trained_parts(
    model: dict, path: str = 'model'
) -> Iterator[tuple[dict, str]]:
    """Find the parts of a model that have a backbone which is to be trained.

    Args:
        model: The ``model`` of a config.
        path: Its name in messages.

    Yields:
        Config of the part, and its path such as ``'model.detector'``.

    Raises:
        UserError: The backbone is not one of MMEngine's registry.
    """
    backbone = model.get('backbone')
    if isinstance(backbone, dict):
        if 'type' not in backbone:
            raise UserError(
                f'{path}.backbone has no type: it is not built from '
                "OpenMMLab's registry, so it cannot be swapped"
            )
        yield model, path
        return
    for key in WRAPPED:
        if isinstance(model.get(key), dict):
            yield from trained_parts(model[key], f'{path}.{key}')


class Choice(NamedTuple):
    """The backbone to swap in, built without memory to ask it things."""

    backbone: PyramidBackbone
    arch: str
    pretrained: str | None

    @property
    def title(self) -> str:
        """Its name in messages."""
        return title_of(self.backbone)


class Names(NamedTuple):
    """Parameters of a backbone, as the whole model calls them.

    ``old`` is None if the old backbone cannot be built here.
    """

    old: list[str] | None
    new: list[str]


@dataclass
class Slot:
    """A backbone's place in a config.

    Attributes:
        part: Config of the detector or segmenter around it.
        path: Name of that part, such as ``'model.detector'``.
        scope: Registry scope of the types in it.
        missing: What the config wants to import and cannot, and why.
    """

    part: dict[str, Any]
    path: str
    scope: str
    missing: str = ''

    @property
    def where(self) -> str:
        """Name of the backbone."""
        return f'{self.path}.backbone'

    def swap(self, choice: Choice) -> Names:
        """Exchange the backbone and adapt what reads it.

        Raises:
            UserError: Names the part that the new backbone does not suit.
        """
        old = self.part['backbone']
        before, old_names = self._measure()
        if not choice.backbone.is_pyramid:
            neck = self._swap_plain(old, before, choice)
            _, new_names = self._measure()
            rewire(self.part, self.path, before, neck.levels, self.scope)
            necks = self.part.get('neck') or []
            necks = [necks] if isinstance(necks, dict) else list(necks)
            self.part['neck'] = [neck.cfg, *necks] if necks else neck.cfg
            return Names(old_names, new_names or [])
        if 'backbone_cfg' in old:
            rewire_outer = find_wiring(old, self.where)
            inner = _levels_of(old['backbone_cfg'], self.scope)
            fresh, levels = self._fresh(old['backbone_cfg'], inner, choice)
            old['backbone_cfg'] = fresh
            rewire_outer(old, levels)
        else:
            self.part['backbone'], _ = self._fresh(old, before, choice)
        after, new_names = self._measure()
        rewire(self.part, self.path, before, after, self.scope)
        return Names(old_names, new_names or [])

    def _swap_plain(
        self, old: dict[str, Any], levels: list[Level], choice: Choice
    ) -> 'PlainNeck':
        """Exchange the backbone for one of a single stride.

        Returns:
            What makes the old levels of its maps.
        """
        if 'backbone_cfg' in old:
            raise UserError(
                f'{self.where}: {old["type"]} needs a pyramid, and '
                f'{choice.title} has one stride'
            )
        indices, _ = _choose_levels(
            old, levels, range(MOST_LEVELS), choice, self.where, self.scope
        )
        maps = choice.backbone.out_indices
        self.part['backbone'] = _describe(old, choice, maps)
        return plain_neck(choice.backbone.out_channels, indices)

    def _measure(self) -> tuple[list[Level], list[str] | None]:
        """Return levels and parameter names of the present backbone."""
        kind = self.part['backbone']['type']
        try:
            backbone = build_part(self.part['backbone'], self.scope)
        except Exception as error:
            if _is_of_absent_package(kind):
                levels = guess_levels(self.part)
                if levels is not None:
                    return levels, None
            raise UserError(
                f'{self.where}: {kind} cannot be built here '
                f'({self.missing or describe_error(error)}), so the strides '
                'of its maps are not known'
            ) from error
        try:
            levels = backbone_levels(backbone, self.part['backbone'])
        except Exception as error:
            raise UserError(
                f'{self.where}: {kind} does not run on an image of '
                f'{IMAGE_SIDE} x {IMAGE_SIDE} pixels '
                f'({describe_error(error)}), so the strides of its maps are '
                'not known'
            ) from error
        prefix = self.where.partition('.')[2]
        names = [f'{prefix}.{name}' for name, _ in backbone.named_parameters()]
        return levels, names

    def _fresh(
        self, old: dict[str, Any], levels: list[Level], choice: Choice
    ) -> tuple[dict[str, Any], list[Level]]:
        """Return the config of the new backbone, and the levels it returns."""
        cfg = new_backbone(old, levels, choice, self.where, self.scope)
        try:
            backbone: Any = build_part(cfg, self.scope)
        except ValueError as error:
            raise UserError(f'{self.where}: {error}') from error
        channels, strides = backbone.out_channels, backbone.out_strides
        return cfg, [Level(c, s) for c, s in zip(channels, strides)]


def _is_of_absent_package(kind: Any) -> bool:
    """Whether a type names a package by its scope that is not installed."""
    scope = MODELS.split_scope_key(kind)[0] if isinstance(kind, str) else None
    return bool(scope) and find_spec(str(scope).partition('.')[0]) is None


def _levels_of(cfg: dict[str, Any], scope: str) -> list[Level]:
    return backbone_levels(build_part(cfg, scope), cfg)


class PlainNeck(NamedTuple):
    """A neck that makes a pyramid of maps of one stride."""

    cfg: dict[str, Any]
    levels: list[Level]


def plain_neck(channels: Sequence[int], indices: Sequence[int]) -> PlainNeck:
    """Describe a SimpleFPN.

    Args:
        channels: Channels of the maps of the backbone.
        indices: Levels that it returns, each of stride ``2 ** (i + 2)``.
    """
    cfg: dict[str, Any] = dict(
        type='lvt_dense.SimpleFPN',
        in_channels=list(channels),
        out_channels=NECK_CHANNELS,
        num_outs=max(4, indices[-1] + 1),
    )
    if list(indices) != list(range(cfg['num_outs'])):
        cfg['out_indices'] = list(indices)
    return PlainNeck(
        cfg, [Level(NECK_CHANNELS, 2 ** (i + 2)) for i in indices]
    )


def new_backbone(
    old: dict[str, Any],
    levels: Sequence[Level],
    choice: Choice,
    path: str,
    scope: str = 'mmdet',
) -> dict[str, Any]:
    """Describe a backbone that returns the same strides as the old one.

    Args:
        old: Config of the old backbone.
        levels: What it returns.
        choice: The new one.
        path: Name of the old one in messages.
        scope: Registry scope of the types around it. Heads of MMSegmentation
            take maps of any stride: a network that cannot be dilated keeps
            its own there.

    Raises:
        UserError: The pyramid lacks a stride.
    """
    indices, output_stride = _choose_levels(
        old, levels, choice.backbone.level_indices, choice, path, scope
    )
    cfg = _describe(old, choice, indices)
    if output_stride != 32:
        cfg['output_stride'] = output_stride
    return cfg


def _describe(
    old: dict[str, Any], choice: Choice, indices: Sequence[int]
) -> dict[str, Any]:
    """Take over what the config of the old backbone says of training."""
    cfg: dict[str, Any] = dict(
        type=f'lvt_dense.{type(choice.backbone).__name__}',
        arch=choice.arch,
        out_indices=list(indices),
    )
    if old.get('with_cp'):
        cfg['with_cp'] = True
    if old.get('in_channels', 3) != 3:
        cfg['in_channels'] = old['in_channels']
    norm = (old.get('norm_cfg') or {}).get('type')
    if choice.backbone.has_batch_norm and norm == 'SyncBN':
        cfg['norm_cfg'] = dict(type='SyncBN')
    # Freezing belongs to weights that were trained before.
    if choice.pretrained is not None:
        if old.get('frozen_stages', -1) >= 0:
            cfg['frozen_stages'] = min(old['frozen_stages'], indices[-1] + 1)
        if old.get('norm_eval'):
            cfg['norm_eval'] = True
        cfg['init_cfg'] = dict(
            type='Pretrained', checkpoint=str(choice.pretrained)
        )
    return cfg


def _choose_levels(
    old: dict[str, Any],
    levels: Sequence[Level],
    available: Iterable[int],
    choice: Choice,
    path: str,
    scope: str,
) -> tuple[list[int], int]:
    """Find out indices and output stride with the strides of ``levels``.

    Args:
        old: Config of the old backbone.
        levels: What it returns.
        available: Levels that the new one has.
        choice: The new one.
        path: Name of the old one in messages.
        scope: See :func:`new_backbone`.
    """
    given = [level.stride for level in levels]
    strides = {2 ** (i + 2): i for i in available}
    # A dilated stage stands for the level that it would be without.
    dilated = [s * d for s, d in zip(given, _dilations(old, len(given)))]
    for nominal in (dilated, given):
        output_stride = 32 if nominal == given else given[-1]
        if (
            sorted({*nominal}.intersection(strides)) == nominal
            and [_kept(s, output_stride) for s in nominal] == given
            and output_stride in OUTPUT_STRIDES
        ):
            if not choice.backbone.has_output_stride(output_stride):
                if scope != 'mmseg':
                    break
                print_log(
                    f'{choice.title} has no output stride {output_stride}: '
                    f'{path} returns maps of strides {_join(nominal)} now, '
                    f'not {_join(given)}',
                    logger='current',
                    level=logging.WARNING,
                )
                output_stride = 32
            return [strides[s] for s in nominal], output_stride
    raise UserError(
        f'{path} returns maps of strides {_join(given)}; '
        f'{choice.title} is a pyramid with strides {_join(list(strides))}'
    )


def _kept(stride: int, output_stride: int) -> int:
    return min(stride, output_stride) if stride <= 32 else stride


def _dilations(old: dict[str, Any], count: int) -> list[int]:
    """Return the dilation of each level: the stride that it replaces."""
    dilations = old.get('dilations')
    if not dilations:
        return [1] * count
    indices = old.get('out_indices', range(len(dilations)))
    return [dilations[i] for i in indices]


def _join(numbers: Sequence[int]) -> str:
    return ', '.join(map(str, numbers))


def _bisenet_v1(outer: dict[str, Any], levels: Sequence[Level]) -> None:
    # Context path and spatial path are concatenated to as many channels as
    # the level of stride 16 has.
    middle = levels[2].channels // 2
    outer['context_channels'] = (
        middle,
        levels[2].channels,
        levels[3].channels,
    )
    spatial = outer.get('spatial_channels', (64, 64, 64, 128))
    outer['spatial_channels'] = (
        *spatial[:3],
        levels[2].channels - middle,
    )


def _stdc(outer: dict[str, Any], levels: Sequence[Level]) -> None:
    outer['last_in_channels'] = (levels[2].channels, levels[1].channels)
    width = outer.get('out_channels', 128)
    outer['ffm_cfg']['in_channels'] = levels[0].channels + width


NESTED: dict[str, Callable[[dict[str, Any], Sequence[Level]], None]] = {
    'BiSeNetV1': _bisenet_v1,
    'STDCContextPathNet': _stdc,
}


def find_wiring(outer: dict[str, Any], path: str) -> Callable:
    """Find how to tell a network the channels of the backbone inside it.

    Raises:
        UserError: The network uses more of its backbone than the outputs.
    """
    if outer['type'] not in NESTED:
        raise UserError(
            f'{path}: {outer["type"]} uses the inner layers of its '
            f'{outer["backbone_cfg"].get("type")}, not only its outputs'
        )
    return NESTED[outer['type']]
