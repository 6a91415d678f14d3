"""The floor plan: imports run downwards only, and in no circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'lvt_dense'
# From the ground up. A room may import rooms of lower floors.
FLOORS = (
    ('utils', 'runtime'),
    ('ops', 'registry', 'structures'),
    ('compat',),
    ('config', 'models.layers'),
    ('checkpoints', 'visualization'),
    (
        'models.backbones',
        'models.data_preprocessors',
        'models.decode_heads',
        'models.dense_heads',
        'models.losses',
        'models.mono3d',
        'models.necks',
    ),
    ('datasets', 'models.registration'),
    ('evaluation', 'scenes'),
    ('analysis', 'deploy', 'swap'),
    ('engine', 'explain', 'report'),
    ('apis',),
    ('planning',),
    ('commands',),
    ('__main__',),
)
# Not even downwards: a renderer that knows no models, tables of names that
# know no classes, an installation that is looked at without a framework.
APART = {
    'scenes': ('models.', 'swap', 'visualization'),
    'checkpoints': ('models.', 'registry'),
    'datasets': ('models.',),
    'models.': ('datasets', 'visualization', 'evaluation'),
    'ops': ('registry', 'models.', 'config'),
    'analysis': ('models.', 'deploy', 'swap'),
    'report': ('models.', 'engine', 'deploy', 'swap'),
    'runtime': tuple(
        f'{room}.' for floor in FLOORS for room in floor if room != 'runtime'
    ),
}
FRAMEWORKS = ('mmdet', 'mmseg', 'mmcv.ops')


def name_of(path: Path) -> str:
    """Dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


PATHS = {
    name_of(path): path
    for path in sorted(PACKAGE.rglob('*.py'))
    if '.mim' not in path.parts
}


def room_of(module: str) -> str:
    """The room that a module lies in; '' for the package itself."""
    _, *parts = module.split('.')
    return '.'.join(parts[: 2 if parts[:1] == ['models'] else 1])


def imports_of(module: str) -> Iterator[str]:
    """What a module imports, in functions as well, as dotted names."""
    path = PATHS[module]
    package = module.split('.')
    if path.name != '__init__.py':
        package = package[:-1]
    for node in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            for alias in node.names:
                name = '.'.join([*base, alias.name])
                yield name if name in PATHS else '.'.join(base)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those for type checkers alone."""
    yield node
    for child in ast.iter_child_nodes(node):
        checks = isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.dump(
            child.test
        )
        if not checks:
            yield from walk(child)


IMPORTS = {
    module: [
        name for name in imports_of(module) if name.startswith('lvt_dense')
    ]
    for module in PATHS
}
FLOOR_OF = {room: i for i, floor in enumerate(FLOORS) for room in floor}


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module) for module in PATHS} - {'', 'models'}
    assert rooms == FLOOR_OF.keys()


@pytest.mark.parametrize('room', FLOOR_OF)
def test_imports_run_downwards(room: str) -> None:
    for module, names in IMPORTS.items():
        if room_of(module) != room:
            continue
        for name in names:
            other = room_of(name)
            if other in ('', room):
                continue
            assert FLOOR_OF[other] < FLOOR_OF[room], f'{module}: {name}'


@pytest.mark.parametrize('room', APART)
def test_rooms_that_know_nothing_of_each_other(room: str) -> None:
    for module, names in IMPORTS.items():
        if not room_of(module).startswith(room):
            continue
        for name in names:
            other = f'{room_of(name)}.'
            assert not other.startswith(APART[room]), f'{module}: {name}'


def test_the_package_itself_imports_its_hooks_only() -> None:
    assert set(IMPORTS['lvt_dense']) == {
        'lvt_dense.compat.old_paths',
        'lvt_dense.compat.startup',
    }


def test_no_circle() -> None:
    # a package and the modules in it may name each other through __init__
    graph = {
        module: {
            name
            for name in names
            if not f'{module}.'.startswith(f'{name}.') and name != 'lvt_dense'
        }
        for module, names in IMPORTS.items()
    }
    circle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert not circle, ' -> '.join(circle)


def test_backbones_need_no_framework() -> None:
    waiting, seen = ['lvt_dense.models.backbones'], set()
    while waiting:
        module = waiting.pop()
        if module in seen or module not in PATHS:
            continue
        seen.add(module)
        for name in imports_of(module):
            assert not f'{name}.'.startswith(
                tuple(f'{framework}.' for framework in FRAMEWORKS)
            ), f'{module}: {name}'
            waiting.append(name)
    assert len(seen) > 10
