"""Words for messages: lists of names, near names, errors on one line."""

import difflib
import unicodedata
from collections.abc import Iterable

CUTOFF = 0.5  # least similarity of a name that is offered


def shorten(names: Iterable[object], limit: int = 5) -> str:
    """Join names by commas, leaving out those after ``limit``."""
    listed = [str(name) for name in names]
    more = f', ... ({len(listed)} in all)' if len(listed) > limit else ''
    return ', '.join(listed[:limit]) + more


def compose(name: str) -> str:
    """Return a name with composed characters, as NFC has them.

    macOS and some archives decompose accents, so that names which look alike
    differ.
    """
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def fold(name: str) -> str:
    """Return what names that differ in case or composition share."""
    return compose(name).lower()


def find_near(
    name: str, known: Iterable[str], cutoff: float = CUTOFF
) -> list[str]:
    """Find names similar to a misspelled one, the most similar first.

    Args:
        name: Name as given; also a spelled-out one, as ``learning_rate``
            for ``lr``.
        known: The right names.
        cutoff: Least similarity, in [0, 1].
    """
    known = sorted(set(known))
    same = [word for word in known if _plain(word) == _plain(name)]
    initials = ''.join(part[:1] for part in name.lower().split('_'))
    if len(initials) > 1 and initials in known:
        same.append(initials)
    return same or difflib.get_close_matches(name, known, 3, cutoff)


def suggest(
    name: str, known: Iterable[str], cutoff: float = CUTOFF
) -> str | None:
    """Ask whether a near name was meant, or return None if none is near."""
    near = find_near(name, known, cutoff)
    return f'did you mean {" or ".join(near)}?' if near else None


def suggest_or_list(name: str, known: Iterable[str]) -> str:
    """Say which names are near a wrong one, or else which there are."""
    known = list(known)
    return suggest(name, known) or f'choose from {", ".join(known)}'


def describe_error(error: Exception, limit: int = 120) -> str:
    """Return type and message of a foreign error on one line."""
    text = ' '.join(str(error).split())[:limit]
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _plain(name: str) -> str:
    return name.replace('_', '').replace('-', '').lower()
