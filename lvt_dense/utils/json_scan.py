"""Read the long lists of a JSON file item by item."""

import json
import re
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lvt_dense.utils.errors import UserError

_MARK = '\xef\xbb\xbf'  # of UTF-8
_SPACE = re.compile(r'[ \t\n\r]*')


class Item(NamedTuple):
    """A part of a JSON object.

    Attributes:
        key: Key of the object that it stands under.
        value: An item of a list that is read item by item, or the whole
            value under another key. None at the start of such a list.
        start: Offset of its first byte; -1 at the start of a list.
        stop: Offset behind its last byte.
    """

    key: str
    value: Any
    start: int
    stop: int


def read_for_scan(path: Path) -> str:
    """Read a file for :func:`scan_object`, one character a byte.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return path.read_bytes().decode('latin-1')
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None


def load_again(text: str, item: Item) -> Any:
    """Load an item whose texts may not be ASCII.

    Args:
        text: As from :func:`read_for_scan`.
        item: A part of it.
    """
    return json.loads(text[item.start : item.stop].encode('latin-1'))


def scan_object(text: str, lists: Container[str]) -> Iterator[Item]:
    """Go through a JSON object, and through some of its lists.

    A list of a million items then needs the memory of one of them beside
    that of the text.

    Args:
        text: As from :func:`read_for_scan`. Texts in it that are not ASCII
            come out as Latin-1; see :func:`load_again`.
        lists: Keys whose lists are read item by item.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        yield from _scan(text, lists)
    except (IndexError, RecursionError) as error:
        raise ValueError(f'no JSON object: {error!r}') from None


def _scan(text: str, lists: Container[str]) -> Iterator[Item]:
    scan = json.JSONDecoder().raw_decode
    at = _expect(text, 3 if text.startswith(_MARK) else 0, '{')
    if text[at] == '}':
        at += 1
    else:
        while True:
            key, at = scan(text, _skip(text, at))
            if not isinstance(key, str):
                raise ValueError(f'no key at byte {at}')
            at = _expect(text, at, ':')
            if text[at] == '[' and key in lists:
                yield Item(key, None, -1, -1)
                at = yield from _scan_list(text, at, key, scan)
            else:
                value, stop = scan(text, at)
                yield Item(key, value, at, stop)
                at = stop
            at = _skip(text, at)
            if text[at] == '}':
                at += 1
                break
            at = _expect(text, at, ',')
    if _skip(text, at) != len(text):
        raise ValueError('there is more after its end')


def _scan_list(text: str, at: int, key: str, scan: Any) -> Any:
    at = _skip(text, at + 1)
    if text[at] == ']':
        return at + 1
    while True:
        value, stop = scan(text, at)
        yield Item(key, value, at, stop)
        sign = text[stop]
        if sign not in ',]':
            stop = _skip(text, stop)
            sign = text[stop]
        if sign == ']':
            return stop + 1
        if sign != ',':
            raise ValueError(f'no comma at byte {stop}')
        at = stop + 1
        if text[at] in ' \t\n\r':
            at = _skip(text, at)


def _expect(text: str, at: int, sign: str) -> int:
    """Go past a sign, and past the white space behind it."""
    at = _skip(text, at)
    if text[at] != sign:
        raise ValueError(f'no {sign} at byte {at}')
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """Go past white space."""
    match = _SPACE.match(text, at)
    return match.end() if match else at
