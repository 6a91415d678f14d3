"""A layout: how one code base names the tensors of one family."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

StateDict = dict[str, Tensor]
_FIELD = re.compile(r'\{(\w+)\}')


def _compile(template: str) -> 're.Pattern[str]':
    """Regular expression of a template; ``{rest}`` may contain dots."""
    parts = _FIELD.split(template)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = re.escape(part)
        else:
            parts[i] = f'(?P<{part}>{".+" if part == "rest" else "[^.]+"})'
    return re.compile(''.join(parts))


class Target(NamedTuple):
    """The backbone that is to be filled, as far as a layout depends on it.

    Attributes:
        settings: Its variant, an entry of the family's table.
        shapes: Shapes of its tensors, by our keys.
    """

    settings: Mapping[str, Any]
    shapes: Mapping[str, torch.Size]


class Layout:
    """Names of the tensors of a family in the files of one code base.

    Args:
        name: Name of the code base, as it is shown to the user.
        markers: Keys that, all present, tell this layout from the others.
        pairs: Templates of the official and of our key. A field such as
            ``{i}`` stands for one dotted part, ``{rest}`` for all that is
            left. The first template that matches a key counts.
        ignored: Beginnings of official keys that no pyramid has: classifier
            and the like.
    """

    def __init__(
        self,
        name: str,
        markers: Sequence[str],
        pairs: Iterable[tuple[str, str]],
        ignored: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.markers = tuple(markers)
        self.ignored = tuple(ignored)
        pairs = list(pairs)
        self._to_own = [(_compile(theirs), ours) for theirs, ours in pairs]
        self._to_official = [
            (_compile(ours), theirs) for theirs, ours in pairs
        ]

    def prefixes_of(self, keys: Iterable[str]) -> list[str]:
        """What stands before the keys of this layout in a file.

        Returns:
            ``['']`` for a file of nothing else, ``['encoder.']`` or the like
            for one in which the network is a part, several prefixes for one
            that holds several networks, and none for another layout.
        """
        keys = set(keys)
        first, *others = self.markers
        prefixes = [
            key[: len(key) - len(first)]
            for key in keys
            if key == first or key.endswith(f'.{first}')
        ]
        return sorted(
            prefix
            for prefix in prefixes
            if all(prefix + marker in keys for marker in others)
        )

    def to_own(
        self, state: Mapping[str, Tensor], target: Target | None = None
    ) -> tuple[StateDict, list[str]]:
        """Rename official tensors.

        Args:
            state: Official tensors, without prefix.
            target: The backbone that is to be filled; needed only by
                layouts of supernets.

        Returns:
            Tensors under our keys, and the official keys that are unknown.
        """
        own, unknown = {}, []
        for key, value in state.items():
            renamed = _rename(key, self._to_own)
            if renamed is not None:
                own[renamed] = value
            elif not key.startswith(self.ignored):
                unknown.append(key)
        return own, unknown

    def to_official(self, own: Mapping[str, Tensor]) -> StateDict:
        """Rename our tensors to the official ones; inverse of `to_own`.

        Raises:
            KeyError: A key has no official counterpart.
        """
        official = {}
        for key, value in own.items():
            renamed = _rename(key, self._to_official)
            if renamed is None:
                raise KeyError(f'{key} has no name in the {self.name} layout')
            official[renamed] = value
        return official


def _rename(key: str, table: Sequence[tuple[Any, str]]) -> str | None:
    for pattern, template in table:
        match = pattern.fullmatch(key)
        if match:
            return template.format(**match.groupdict())
    return None
