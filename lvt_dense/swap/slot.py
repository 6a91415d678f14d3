"""The place in a config where a backbone is, and the exchange there."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from lvt_dense.errors import UserError
from lvt_dense.models.backbones import PyramidBackbone

from .choose import new_backbone
from .consumers import rewire
from .levels import (
    IMAGE_SIDE,
    Level,
    assumed_levels,
    backbone_levels,
    brief,
    build_part,
)
from .nested import wiring


class Choice(NamedTuple):
    """The backbone to swap in."""

    cls: type[PyramidBackbone]
    arch: str
    pretrained: str | None


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
    """

    part: dict[str, Any]
    path: str
    scope: str

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
        if 'backbone_cfg' in old:
            rewire_outer = wiring(old, self.where)
            inner = _levels_of(old['backbone_cfg'], self.scope)
            fresh, levels = self._fresh(old['backbone_cfg'], inner, choice)
            old['backbone_cfg'] = fresh
            rewire_outer(old, levels)
        else:
            self.part['backbone'], _ = self._fresh(old, before, choice)
        after, new_names = self._measure()
        rewire(self.part, self.path, before, after, self.scope)
        return Names(old_names, new_names)

    def _measure(self) -> tuple[list[Level], list[str] | None]:
        """Levels and parameter names of the backbone that is there now."""
        kind = self.part['backbone']['type']
        try:
            backbone = build_part(self.part['backbone'], self.scope)
        except Exception as error:
            # A package that is not installed, above all.
            levels = assumed_levels(self.part)
            if levels is not None:
                return levels, None
            raise UserError(
                f'{self.where}: {kind} cannot be built here '
                f'({brief(error)}), so the strides of its maps are not known'
            ) from error
        try:
            levels = backbone_levels(backbone)
        except Exception as error:
            raise UserError(
                f'{self.where}: {kind} does not run on an image of '
                f'{IMAGE_SIDE} x {IMAGE_SIDE} pixels ({brief(error)}), so '
                'the strides of its maps are not known'
            ) from error
        prefix = self.where.partition('.')[2]
        names = [f'{prefix}.{name}' for name, _ in backbone.named_parameters()]
        return levels, names

    def _fresh(
        self, old: dict[str, Any], levels: list[Level], choice: Choice
    ) -> tuple[dict[str, Any], list[Level]]:
        """Config of the new backbone, and what it returns."""
        cfg = new_backbone(old, levels, *choice, self.where)
        try:
            backbone = build_part(cfg, self.scope)
        except ValueError as error:
            raise UserError(f'{self.where}: {error}') from error
        channels, strides = backbone.out_channels, backbone.out_strides
        return cfg, [Level(c, s) for c, s in zip(channels, strides)]


def _levels_of(cfg: dict[str, Any], scope: str) -> list[Level]:
    return backbone_levels(build_part(cfg, scope))
