"""Variables of config files: what they were used for.

A config file is a program. Names such as ``max_iters`` or ``data_root`` are
variables in it, which other values are made from while the file is read;
changing them afterwards changes nothing. Only the source tells where they
went.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.runner import Runner

Keys = tuple[str, ...]
# What programs read from a config besides the arguments of the runner.
_SETTINGS = frozenset(inspect.signature(Runner).parameters) | {
    'auto_scale_lr',
    'custom_imports',
    'runner_type',
    'tta_model',
    'tta_pipeline',
}


class _Use(NamedTuple):
    """A value that is made from a variable.

    Attributes:
        variable: Its name.
        path: Where the value goes, as keys and indices.
    """

    variable: str
    path: Keys


class Source:
    """The source of a config file and of all its bases.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.bases: list[Source] = []
        self.uses: list[_Use] = []
        self.assigned: set[str] = set()
        self.path = Path(path)
        tree = ast.parse(self.path.read_text(encoding='utf-8'))
        for node in tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._add(target, node.value)

    def _add(self, target: ast.expr, value: ast.expr) -> None:
        path = _path_of(target)
        if path is None:
            return
        if path == ('_base_',):
            self.bases = [Source(base) for base in self._find(value)]
            return
        if len(path) == 1:
            self.assigned.add(path[0])
        self.uses += _find_uses(value, path)

    def _find(self, value: ast.expr) -> Iterator[str]:
        try:
            names = ast.literal_eval(value)
        except ValueError:  # computed; what is in it stays unknown
            return
        for name in [names] if isinstance(names, str) else names:
            path, _ = Config._get_cfg_path(name, str(self.path))
            yield path

    def files(self) -> Iterator['Source']:
        """Yield this file and all files below it."""
        yield self
        for base in self.bases:
            yield from base.files()

    def settings_of(self, name: str) -> list[str]:
        """Find the settings that are made from a variable.

        Args:
            name: Name at the top of the config.

        Returns:
            Dotted keys such as ``train_cfg.max_iters``; none for what is a
            setting itself.
        """
        if name in _SETTINGS:
            return []
        uses = [use for file in self.files() for use in file.uses]
        found = _follow(name, uses, frozenset())
        return list(dict.fromkeys('.'.join(path) for path in found))

    def without_effect(self) -> dict[str, list[str]]:
        """Find variables that the file sets although its bases used them.

        Returns:
            By name of the variable the settings that the bases made of it.
        """
        own = {use.variable for use in self.uses}
        found = {}
        for name in sorted(self.assigned - own - _SETTINGS):
            for base in self.bases:
                if any(name in file.assigned for file in base.files()):
                    found[name] = base.settings_of(name)
        return {name: keys for name, keys in found.items() if keys}


def _follow(
    name: str, uses: list[_Use], seen: frozenset[str]
) -> Iterator[Keys]:
    """Yield the paths of settings, through variables on the way."""
    for use in uses:
        if use.variable != name or use.path[0] in seen:
            continue
        first, *rest = use.path
        if first in _SETTINGS:
            yield use.path
        for path in _follow(first, uses, seen | {name}):
            yield (*path, *rest)


def _path_of(target: ast.expr) -> Keys | None:
    """Return the keys of what is assigned to; None if they are computed."""
    if isinstance(target, ast.Name):
        return (target.id,)
    inner = None
    if isinstance(target, (ast.Attribute, ast.Subscript)):
        inner = _path_of(target.value)
    if inner is None:
        return None
    if isinstance(target, ast.Attribute):
        return (*inner, target.attr)
    assert isinstance(target, ast.Subscript)
    key = target.slice
    return (*inner, str(key.value)) if isinstance(key, ast.Constant) else None


def _find_uses(node: ast.expr, path: Keys) -> Iterator[_Use]:
    """Yield the variables that a value is made from."""
    for key, item in _items(node):
        yield from _find_uses(item, (*path, *key))
    if _is_container(node):
        return
    for name in _names_in(node):
        yield _Use(name, path)


def _is_container(node: ast.expr) -> bool:
    return isinstance(node, (ast.Dict, ast.List, ast.Tuple)) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
    )


def _items(node: ast.expr) -> Iterator[tuple[Keys, ast.expr]]:
    if isinstance(node, (ast.List, ast.Tuple)):
        for index, item in enumerate(node.elts):
            yield (str(index),), item
    elif isinstance(node, ast.Dict):
        for name, item in zip(node.keys, node.values):
            key: Keys = ()
            if isinstance(name, ast.Constant):
                key = (str(name.value),)
            yield key, item
    elif _is_container(node):
        assert isinstance(node, ast.Call)
        for keyword in node.keywords:
            key = (keyword.arg,) if keyword.arg else ()
            yield key, keyword.value
        for item in node.args:
            yield (), item


def _names_in(node: ast.expr) -> Iterator[str]:
    """Yield variables in an expression, also ``_base_.x`` and its old form."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value.replace(' ', '')
        if text.startswith('{{_base_.') and text.endswith('}}'):
            yield text[9:-2].split('.')[0]
    for part in ast.walk(node):
        owner = getattr(getattr(part, 'value', None), 'id', None)
        if isinstance(part, ast.Attribute) and owner == '_base_':
            yield part.attr
        elif isinstance(part, ast.Name) and part.id != '_base_':
            yield part.id
