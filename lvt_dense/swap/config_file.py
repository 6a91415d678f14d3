"""Write a config as a short file: its base, and what differs from it."""

import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lvt_dense.config import load_config
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

WIDTH = 79


def write_config(
    cfg: Config, base: str, path: str, comment: str | None = None
) -> None:
    """Write a config as ``_base_`` and what was changed.

    A config of the new style, with ``read_base()``, is written as a whole,
    its classes by name.

    Loading the file gives an equal config, up to the ``_scope_`` that MMEngine
    marks each part of a ``'package::'`` base with.

    Args:
        cfg: Config to write.
        base: Path or ``'package::'`` name of the config it was made from.
        path: File to write; its folder is created.
        comment: What the file is, for its first lines.

    Raises:
        UserError: The file would overwrite its own base.
    """
    before = load_config(base, import_custom_modules=False)
    out = Path(path)
    if Path(before.filename).resolve() == out.resolve():
        raise UserError(f'--out {path}: that is the config it is made from')
    is_program = bool(before._imported_names)  # it imports what it builds
    old = {} if is_program else before.to_dict()
    changes = find_difference(old, cfg.to_dict())
    name = base
    if '::' not in base:
        name = os.path.relpath(before.filename, out.parent)
    elif not base.endswith('.py'):
        name = f'{base}.py'
    lines = [f'# {line}'.rstrip() for line in (comment or '').splitlines()]
    if not is_program:
        lines += [f'_base_ = [{name!r}]']
    lines += [
        f'{key} = {format_value(value, used=len(key) + 3)}'
        for key, value in changes.items()
    ]
    write_atomically(out, '\n'.join(lines) + '\n')


def find_difference(
    old: dict[str, Any], new: dict[str, Any]
) -> dict[str, Any]:
    """Find what a config must hold to turn its base ``old`` into ``new``.

    Args:
        old: The base.
        new: What the base and the result of this make.

    Returns:
        Changed keys only; a dict that lost keys is given in full, with
        ``_delete_=True``.
    """
    changes = {}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value:
            continue
        if not isinstance(before, dict) or not isinstance(value, dict):
            changes[key] = value
        elif before.keys() <= value.keys():
            changes[key] = find_difference(before, value)
        else:
            changes[key] = dict(_delete_=True, **value)
    return changes


def format_value(value: Any, indent: int = 0, used: int = 0) -> str:
    """Write a config value as Python source, on one line if it fits.

    Args:
        value: Dicts, lists and tuples of plain values.
        indent: Spaces before the line that it begins on.
        used: Characters on that line before the value.
    """
    line = _on_one_line(value)
    if indent + used + len(line) < WIDTH or not _is_container(value):
        return line
    deeper = indent + 4
    if isinstance(value, dict):
        items = [
            f'{key}={format_value(item, deeper, len(key) + 1)}'
            for key, item in _ordered(value)
        ]
        begin, end = 'dict(', ')'
    else:
        items = [format_value(item, deeper) for item in value]
        begin, end = '()' if isinstance(value, tuple) else '[]'
    body = ''.join(f'{" " * deeper}{item},\n' for item in items)
    return f'{begin}\n{body}{" " * indent}{end}'


def _on_one_line(value: Any) -> str:
    if isinstance(value, dict):
        pairs = [f'{k}={_on_one_line(v)}' for k, v in _ordered(value)]
        return f'dict({", ".join(pairs)})'
    if isinstance(value, list):
        return f'[{", ".join(map(_on_one_line, value))}]'
    if isinstance(value, tuple):
        inner = ', '.join(map(_on_one_line, value))
        return f'({inner},)' if len(value) == 1 else f'({inner})'
    return repr(value)


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple)) and len(value) > 0


def _ordered(value: dict[str, Any]) -> list[tuple[str, Any]]:
    first = [(k, value[k]) for k in ('_delete_', 'type') if k in value]
    return first + [(k, v) for k, v in value.items() if (k, v) not in first]
