"""A layout: how one code base names the tensors of one family."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

StateDict = dict[str, Tensor]
# A pattern and what takes its place, as re.sub() takes them; see Layout.
Rule = tuple[str, str | Callable[[re.Match[str]], str]]

PARAMETER = r'(?P<p>\w+)'  # of a layer: weight, bias, running_mean, ...
BLOCK = r'(?P<b>\d+)'
ANY = r'(?P<rest>\S+)'  # may contain dots
_PROBES = 20  # keys that are looked for to find a prefix


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
        rules: Regular expressions of the official keys, and what our keys
            are; in an expression a dot stands for itself. The first that
            matches a whole key counts.
        ignored: Beginnings of official keys that no pyramid has: classifier
            and the like.
    """

    def __init__(
        self,
        name: str,
        markers: Sequence[str],
        rules: Iterable[Rule],
        ignored: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.markers = tuple(markers)
        self.ignored = tuple(ignored)
        self.rules = [
            (re.compile(pattern.replace('.', r'\.')), replacement)
            for pattern, replacement in rules
        ]

    def prefixes_of(self, keys: Iterable[str]) -> list[str]:
        """Find what stands before the keys of this layout in a file.

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
            renamed = self._rename(key)
            if renamed is not None:
                own[renamed] = value
            elif not key.startswith(self.ignored):
                unknown.append(key)
        return own, unknown

    def _rename(self, key: str) -> str | None:
        for pattern, replacement in self.rules:
            match = pattern.fullmatch(key)
            if match is None:
                continue
            if callable(replacement):
                return replacement(match)
            return match.expand(replacement)
        return None


def find_prefixes(
    keys: Iterable[str], expected: Iterable[str], separator: str = '.'
) -> list[str]:
    """Find what stands before expected keys in a file.

    Half of the keys have to be there, so that a file of another variant is
    still reported on.

    Args:
        keys: Keys of a file.
        expected: Keys that are looked for.
        separator: What ends a prefix.

    Returns:
        The prefixes, ``''`` among them; several for a file that holds the
        network several times.
    """
    keys, expected = list(keys), list(expected)
    counts: Counter[str] = Counter()
    step = max(1, len(expected) // _PROBES)
    for probe in islice(expected, 0, None, step):
        for key in keys:
            if key == probe or key.endswith(f'{separator}{probe}'):
                counts[key[: len(key) - len(probe)]] += 1
    given, wanted = set(keys), set(expected)
    return sorted(
        prefix
        for prefix in counts
        if 2 * len(given.intersection(prefix + k for k in wanted))
        > len(wanted)
    )
