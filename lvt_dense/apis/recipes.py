"""The recipes that come with the package, as a table."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import lvt_dense
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import suggest_or_list

FOLDER = Path(lvt_dense.__file__).parent / '.mim' / 'configs'
_USE = 'lvt-dense train lvt_dense::RECIPE --data DIR'


class Row(NamedTuple):
    """A recipe in the table; all cells are text."""

    recipe: str
    task: str
    data: str
    backbone: str
    parameters: str
    published: str


def list_recipes(folder: Path = FOLDER) -> Iterator[Row]:
    """Yield the recipes that the metafiles of a folder of configs list."""
    for path in sorted(folder.glob('_methods/*/metafile.yml')):
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        for model in content['Models']:
            yield _row(model)


def _row(model: dict[str, Any]) -> Row:
    metadata, (result,) = model['Metadata'], model['Results']
    metrics = [
        f'{value:g} {name.removeprefix("published ")}'
        for name, value in result['Metrics'].items()
    ]
    number = metadata.get('Parameters')
    return Row(
        model['Name'],
        result['Task'].lower(),
        result['Dataset'],
        metadata['Architecture'][0],
        '-' if number is None else f'{number / 1e6:.1f} M',
        ', '.join(metrics) or '-',
    )


def find_recipes(
    pattern: str | None = None, folder: Path = FOLDER
) -> list[Row]:
    """Find the recipes that a pattern matches.

    Args:
        pattern: Part of any cell of the table, in any letter case, or a
            pattern of names with ``*`` and ``?``; None matches all.
        folder: Folder of the configs.

    Raises:
        UserError: None matches.
    """
    rows = list(list_recipes(folder))
    word = (pattern or '').lower()
    found = [
        row
        for row in rows
        if fnmatch(row.recipe, word) or any(word in c.lower() for c in row)
    ]
    if found:
        return found
    raise UserError(
        f'no recipe matches {pattern!r}; '
        f'{suggest_or_list(word, [row.recipe for row in rows])}'
    )


def format_recipes(rows: Sequence[Row]) -> str:
    """Format recipes as a table, with the command that trains one."""
    lines = [Row(*(name for name in Row._fields)), *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = [
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths))
        for line in lines
    ]
    note = 'Published results are not reproduced here. Train one with'
    return '\n'.join(line.rstrip() for line in (*text, f'{note}: {_USE}'))
