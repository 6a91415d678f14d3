"""Networks that MMSegmentation calls backbones and that hold one inside."""

from collections.abc import Callable, Sequence
from typing import Any

from lvt_dense.errors import UserError

from .levels import Level


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


WIRING: dict[str, Callable[[dict[str, Any], Sequence[Level]], None]] = {
    'BiSeNetV1': _bisenet_v1,
    'STDCContextPathNet': _stdc,
}


def wiring(outer: dict[str, Any], path: str) -> Callable:
    """How to tell a network the channels of the backbone inside it.

    Raises:
        UserError: The network uses more of its backbone than the outputs.
    """
    if outer['type'] not in WIRING:
        raise UserError(
            f'{path}: {outer["type"]} uses the inner layers of its '
            f'{outer["backbone_cfg"].get("type")}, not only its outputs'
        )
    return WIRING[outer['type']]
