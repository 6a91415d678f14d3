"""Choose the levels, the stride and the settings of the new backbone."""

from collections.abc import Sequence
from typing import Any

from lvt_dense.errors import UserError
from lvt_dense.models.backbones import PyramidBackbone
from lvt_dense.models.backbones.base import OUTPUT_STRIDES

from .levels import Level


def new_backbone(
    old: dict[str, Any],
    levels: Sequence[Level],
    cls: type[PyramidBackbone],
    arch: str,
    pretrained: str | None,
    path: str,
) -> dict[str, Any]:
    """Config of a backbone that returns the same strides as the old one.

    Args:
        old: Config of the old backbone.
        levels: What it returns.
        cls: Class of the new one.
        arch: Its variant.
        pretrained: Checkpoint of the new one, if any.
        path: Name of the old one in messages.

    Raises:
        UserError: The pyramid lacks a stride.
    """
    indices, output_stride = _pyramid_levels(old, levels, cls, path)
    cfg = dict(
        type=f'lvt_dense.{cls.__name__}', arch=arch, out_indices=indices
    )
    if output_stride != 32:
        cfg['output_stride'] = output_stride
    if old.get('with_cp'):
        cfg['with_cp'] = True
    if old.get('in_channels', 3) != 3:
        cfg['in_channels'] = old['in_channels']
    norm = (old.get('norm_cfg') or {}).get('type')
    if cls.has_batch_norm and norm == 'SyncBN':
        cfg['norm_cfg'] = dict(type='SyncBN')
    # Freezing belongs to weights that were trained before.
    if pretrained is not None:
        if old.get('frozen_stages', -1) >= 0:
            cfg['frozen_stages'] = min(old['frozen_stages'], indices[-1] + 1)
        if old.get('norm_eval'):
            cfg['norm_eval'] = True
        cfg['init_cfg'] = dict(type='Pretrained', checkpoint=str(pretrained))
    return cfg


def _pyramid_levels(
    old: dict[str, Any],
    levels: Sequence[Level],
    cls: type[PyramidBackbone],
    path: str,
) -> tuple[list[int], int]:
    """Out indices and output stride that give the strides of ``levels``."""
    given = [level.stride for level in levels]
    strides = [2 ** (i + 2) for i in range(cls.num_levels)]
    # A dilated stage stands for the level that it would be without.
    dilated = [s * d for s, d in zip(given, _dilations(old, len(given)))]
    for nominal in (dilated, given):
        output_stride = 32 if nominal == given else given[-1]
        if (
            sorted({*nominal}.intersection(strides)) == nominal
            and [_kept(s, output_stride) for s in nominal] == given
            and output_stride in OUTPUT_STRIDES
        ):
            return [strides.index(s) for s in nominal], output_stride
    raise UserError(
        f'{path} returns maps of strides {_listed(given)}; '
        f'{cls.__name__} is a pyramid with strides {_listed(strides)}'
    )


def _kept(stride: int, output_stride: int) -> int:
    return min(stride, output_stride) if stride <= 32 else stride


def _dilations(old: dict[str, Any], count: int) -> list[int]:
    """Dilation of each returned level: how much stride was traded for it."""
    dilations = old.get('dilations')
    if not dilations:
        return [1] * count
    indices = old.get('out_indices', range(len(dilations)))
    return [dilations[i] for i in indices]


def _listed(numbers: Sequence[int]) -> str:
    return ', '.join(map(str, numbers))
