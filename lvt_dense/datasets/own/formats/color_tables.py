"""Tables of classes beside semantic masks: names, values, colors."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import read_json, read_lines, read_rows

from .labeled_data import MaskClass, text_of
from .tree import Tree

_NAMES = (
    'class_dict',
    '_classes',
    'classes',
    'class_names',
    'labelmap',
    'label_map',
    'label_colors',
    'labels',
    'names',
    'colormap',
    'palette',
    'codes',
    'categories',
)
_LABELME_FIRST = '__ignore__'
_SUFFIXES = ('.csv', '.txt', '.json')


def find_table(tree: Tree) -> Path | None:
    """Find the table of classes of a folder, the shallowest one."""
    found = [
        path
        for path in tree.with_suffix(*_SUFFIXES)
        if path.stem.lower() in _NAMES
    ]
    ranked = sorted(
        found,
        key=lambda p: (len(p.parts), _NAMES.index(p.stem.lower()), p.name),
    )
    return ranked[0] if ranked else None


def read_table(path: Path) -> list[MaskClass]:
    """Read a table of classes.

    CSV with the columns name, r, g, b, or ``Pixel Value`` and ``Class``;
    text with ``name:r,g,b:...`` (CVAT), ``r g b name`` (CamVid), or a name a
    line; JSON with a list of names, a dict of colors or names, or a list of
    dicts with name and color.

    Raises:
        UserError: It is none of these, or names a class twice.
    """
    readers: dict[str, Callable[[Path], list[MaskClass]]] = {
        '.csv': _read_csv,
        '.txt': _read_text,
        '.json': _read_json,
    }
    classes = readers[path.suffix.lower()](path)
    names = [c.name for c in classes]
    double = next((n for n in names if names.count(n) > 1), None)
    if double:
        raise UserError(f'{path}: the class {double!r} is there twice')
    if not classes:
        raise UserError(f'{path}: names no class')
    return classes


def _read_csv(path: Path) -> list[MaskClass]:
    rows = read_rows(path)
    head = [c.lower() for c in rows[0]] if rows else []
    places = {
        key: next((i for i, c in enumerate(head) if c in words), None)
        for key, words in dict(
            name=('name', 'class', 'label', 'class_name', 'category'),
            value=('pixel value', 'value', 'id', 'index', 'pixel_value'),
            r=('r', 'red'),
            g=('g', 'green'),
            b=('b', 'blue'),
        ).items()
    }
    if places['name'] is None:
        if any(len(row) == 4 for row in rows):
            return [MaskClass(r[0], None, _color(path, r[1:4])) for r in rows]
        return [MaskClass(row[-1]) for row in rows]
    classes = []
    for number, row in enumerate(rows[1:], 2):
        try:
            color = None
            if places['r'] is not None:
                color = _color(path, [row[places[k] or 0] for k in 'rgb'])
            value = places['value']
            classes.append(
                MaskClass(
                    row[places['name']],
                    None if value is None else int(row[value]),
                    color,
                )
            )
        except (IndexError, ValueError):
            raise UserError(
                f'{path}:{number}: {",".join(row)} does not have the '
                f'columns {", ".join(head)}'
            ) from None
    return classes


def _read_text(path: Path) -> list[MaskClass]:
    lines = [
        line for line in read_lines(path) if line and not line.startswith('#')
    ]
    if lines and lines[0] == _LABELME_FIRST:
        lines = lines[1:]  # LabelMe counts from -1
    classes = []
    for line in lines:
        cvat = re.fullmatch(r'(.+?):(\d+),(\d+),(\d+)(:.*)?', line)
        camvid = re.fullmatch(r'(\d+)[\s,]+(\d+)[\s,]+(\d+)\s+(\S.*)', line)
        if cvat:
            color = _color(path, cvat.groups()[1:4])
            classes.append(MaskClass(cvat.group(1), None, color))
        elif camvid:
            color = _color(path, camvid.groups()[:3])
            classes.append(MaskClass(camvid.group(4).strip(), None, color))
        else:
            numbered = re.fullmatch(r'(\d+)\s*[:=\t,]\s*(.+)', line)
            if numbered:
                value = int(numbered.group(1))
                classes.append(MaskClass(numbered.group(2).strip(), value))
            else:
                classes.append(MaskClass(line))
    return classes


def _read_json(path: Path) -> list[MaskClass]:
    content: Any = read_json(path)
    if isinstance(content, dict) and len(content) == 1:
        inner = next(iter(content.values()))
        content = inner if isinstance(inner, (list, dict)) else content
    try:
        if isinstance(content, dict):
            return [_json_entry(path, *item) for item in content.items()]
        return [
            MaskClass(text_of(item, f'{path}: a class is'))
            if not isinstance(item, dict)
            else MaskClass(
                text_of(item['name'], f'{path}: a class is'),
                item.get('id'),
                _color(path, item['color']) if 'color' in item else None,
            )
            for item in content
        ]
    except (KeyError, TypeError, AttributeError):
        raise UserError(
            f'{path}: no table of classes; give a list of names, or a dict '
            'from names to colors [r, g, b]'
        ) from None


def _json_entry(path: Path, key: str, value: Any) -> MaskClass:
    if isinstance(value, (list, tuple)):
        return MaskClass(key, None, _color(path, value))
    if type(value) is int:
        return MaskClass(key, value)
    if key.isdigit():
        name = text_of(value, f'{path}: {key} is')
        return MaskClass(name, int(key))
    return (
        MaskClass(key, None, _color(path, value))
    )  # fmt: skip


def _color(path: Path, values: Any) -> tuple[int, int, int]:
    if isinstance(values, str) and re.fullmatch('#[0-9a-fA-F]{6}', values):
        values = [int(values[i : i + 2], 16) for i in (1, 3, 5)]
    try:
        red, green, blue = (int(v) for v in list(values)[:3])
    except (TypeError, ValueError):
        raise UserError(f'{path}: {values!r} is no color [r, g, b]') from None
    if not all(0 <= v <= 255 for v in (red, green, blue)):
        raise UserError(f'{path}: color {values!r} is not within 0 to 255')
    return red, green, blue
