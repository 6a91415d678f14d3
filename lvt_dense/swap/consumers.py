"""Tell the readers of a backbone, neck or heads, its new channels."""

from collections.abc import Sequence
from typing import Any

from lvt_dense.errors import UserError

from .levels import Level, brief, build_part, neck_levels, position

Channels = int | Sequence[int]


def rewire(
    part: dict[str, Any],
    path: str,
    old: list[Level],
    new: list[Level],
    scope: str,
) -> None:
    """Adapt everything in a part that reads the backbone.

    Args:
        part: Config of a detector or segmenter; changed in place.
        path: Its name in messages.
        old: Levels that the old backbone returned.
        new: Levels, of the same strides, that the new one returns.
        scope: Registry scope of the types in it.

    Raises:
        UserError: A reader needs what the new backbone has not; the message
            names it.
    """
    if part.get('neck'):
        old, new = _rewire_neck(part['neck'], f'{path}.neck', old, new, scope)
    if old == new:
        return
    for key, head in part.items():
        # what a head is called: bbox_head, decode_head, panoptic_head, ...
        if key.endswith('head') and head:
            builds = _fault(head, scope) is None
            _rewire_head(head, f'{path}.{key}', old, new)
            fault = _fault(head, scope)
            if builds and fault is not None:
                raise UserError(
                    f'{path}.{key} cannot be built with other channels than '
                    f'those of the old backbone: {fault}'
                )


def _rewire_neck(
    neck: Any, path: str, old: list[Level], new: list[Level], scope: str
) -> tuple:
    """Adapt the neck; return what it gave before and what it gives now."""
    first, where = neck, path
    if isinstance(neck, (list, tuple)):
        first, where = neck[0], f'{path}[0]'
    inner = [key for key in first if 'backbone' in key]
    if inner:
        raise UserError(
            f'{where}.{inner[0]}: a {first["type"]} runs a second backbone '
            'that is made for the first one'
        )
    try:
        before = neck_levels(build_part(neck, scope), old)
    except Exception:
        # Nothing to compare with: an operator that needs a GPU, for example.
        before = None
    replaced = renumbered(first.get('in_channels'), old, new, where)
    given = first.get('out_channels')
    if isinstance(given, (list, tuple)) and _passes_on(first, before):
        # SSD's neck repeats the levels of the backbone in out_channels.
        count = len(first['in_channels'])
        first['out_channels'] = type(given)([*replaced, *given[count:]])
    first['in_channels'] = replaced
    if before is None:
        return [], []
    try:
        after = neck_levels(build_part(neck, scope), new)
    except Exception as error:
        raise UserError(
            f'{where}: {first["type"]} does not work with the channels '
            f'{replaced}: {brief(error)}'
        ) from error
    return before, after


def _fault(head: Any, scope: str) -> str | None:
    """Why a head, or a list of them, cannot be built by itself, if so."""
    try:
        build_part(head, scope)
    except Exception as error:
        return brief(error)
    return None


def _passes_on(neck: dict[str, Any], outputs: Any) -> bool:
    given, out = neck['in_channels'], neck['out_channels']
    if not isinstance(given, (list, tuple)) or outputs is None:
        return False
    repeats = list(out[: len(given)]) == list(given)
    return repeats and len(out) == len(outputs)


def _rewire_head(
    head: Any, path: str, old: list[Level], new: list[Level]
) -> None:
    if isinstance(head, (list, tuple)):
        for index, each in enumerate(head):
            _rewire_head(each, f'{path}[{index}]', old, new)
        return
    if path.endswith('.roi_head'):
        part = 'shared_head' if 'shared_head' in head else 'bbox_roi_extractor'
        raise UserError(
            f'{path}.{part}: it reads the backbone without a neck between, '
            'and is made for the channels of the old one'
        )
    if 'in_channels' in head:
        _set_inputs(head, path, old, new)
    for key, value in head.items():
        # K-Net wraps a whole decode head in another
        if isinstance(value, dict) and 'in_index' in value:
            _set_inputs(value, f'{path}.{key}', old, new)


def _set_inputs(
    head: dict[str, Any], path: str, old: list[Level], new: list[Level]
) -> None:
    given = head['in_channels']
    index = head.get('in_index')
    if index is None:
        head['in_channels'] = renumbered(given, old, new, path)
    else:
        indices = index if isinstance(index, (list, tuple)) else [index]
        wanted = given if isinstance(given, (list, tuple)) else [given]
        if [old[i].channels for i in indices] != list(wanted):
            raise UserError(
                f'{path}.in_channels={given} is not what it reads with '
                f'in_index={index}: the old backbone gives '
                f'{[level.channels for level in old]}'
            )
        channels = [new[i].channels for i in indices]
        single = not isinstance(given, (list, tuple))
        head['in_channels'] = channels[0] if single else type(given)(channels)
    if head.get('c1_in_channels'):  # DeepLabv3+ also reads the finest level
        head['c1_in_channels'] = new[0].channels


def renumbered(
    given: Channels, old: Sequence[Level], new: Sequence[Level], path: str
) -> Channels:
    """Replace old channel numbers by new ones, in the order they are in.

    Args:
        given: ``in_channels`` of a neck or head.
        old: Levels with the numbers in it.
        new: Levels to replace them by.
        path: Name of the neck or head in messages.

    Raises:
        UserError: The numbers are not those of the old levels.
    """
    if isinstance(given, (list, tuple)):
        if list(given) == [level.channels for level in old]:
            return type(given)([level.channels for level in new])
        positions = [position(old, channels) for channels in given]
        if None not in positions:
            return type(given)([new[i].channels for i in positions])
    elif given is not None:
        index = position(old, given)
        if index is not None:
            return new[index].channels
    raise UserError(
        f'{path}.in_channels={given} does not say which of the levels with '
        f'{[level.channels for level in old]} channels it reads'
    )
