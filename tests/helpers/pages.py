"""The code blocks of a Markdown page, and how a test is to run them.

Blocks of the languages ``bash`` and ``python`` are code. A comment right
before a block changes what is done with it::

    <!-- run: skip, it downloads ImageNet -->   do not run it, and why
    <!-- run: exit 2 -->                        expect this exit status

A comment that begins with ``run: before`` holds lines of bash that the reader
does not see. A Python block with ``title="some/file.py"`` is a file that is
written, not run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r'<!-- run: before\n(?P<hidden>.*?)-->'
    r'|(?:<!-- run: (?P<order>[^\n]*?) -->\n\s*)?'
    r'^(?P<indent> *)```(?P<language>\w+)(?P<options>[^\n]*)\n'
    r'(?P<code>.*?)^ *```$',
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: ``'bash'`` or ``'python'``.
        code: The text, without indentation.
        line: Number of its first line in the page, from 1.
        status: Exit status that is expected.
        skipped: Why it is not run, or None.
        title: File that it is to be written to, or None.
    """

    language: str
    code: str
    line: int
    status: int = 0
    skipped: str | None = None
    title: str | None = None


def read_blocks(page: Path) -> list[Block]:
    """Read the blocks of a page, in order.

    Raises:
        ValueError: A comment asks for something unknown.
    """
    return list(_find_blocks(page.read_text(), page))


def _find_blocks(text: str, page: Path) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        hidden = found['hidden']
        start = found.start('hidden' if hidden is not None else 'code')
        line = text.count('\n', 0, start) + 1
        if hidden is not None:
            yield Block('bash', hidden, line)
            continue
        if found['language'] not in ('bash', 'python'):
            continue
        indent = len(found['indent'])
        code = ''.join(
            x[indent:] for x in found['code'].splitlines(keepends=True)
        )
        order = found['order'] or ''
        title = re.search('title="(.+?)"', found['options'])
        yield Block(
            found['language'],
            code,
            line,
            title=title and title[1],
            **_read_order(order, f'{page.name}:{line}'),
        )


def _read_order(order: str, place: str) -> dict[str, int | str]:
    if not order:
        return {}
    if skip := re.fullmatch('skip, (.{5,})', order):
        return {'skipped': skip[1]}
    if leave := re.fullmatch(r'exit (\d+)', order):
        return {'status': int(leave[1])}
    raise ValueError(
        f'{place}: "run: {order}" is not understood; write "skip, REASON" or '
        '"exit STATUS"'
    )
