"""Find, load and adapt configs."""

import ast
import logging
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from lvt_dense.utils.config_options import check_options
from lvt_dense.utils.config_variables import Source
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import newest_checkpoint
from lvt_dense.utils.text import describe_error, shorten, suggest

OURS = 'lvt_dense'
RECIPES = Path(__file__).parent / '.mim' / 'configs'
# What a training writes beside a config of its own folder: that config with
# the data in it.
DUMP = '_with_data.py'
BEST = 'best.pth'
# The parts of a config that name files of a data set.
DATA_PARTS = tuple(
    f'{split}_{part}'
    for split in ('train', 'val', 'test')
    for part in ('dataloader', 'evaluator')
)


def load_config(
    name: str | Config,
    options: dict[str, Any] | None = None,
    import_custom_modules: bool = True,
) -> Config:
    """Load a config and apply options to it.

    Args:
        name: A path, ``'package::name'`` with the path inside the package's
            configs (``.py`` may be left out), the work directory of a
            training, or a config already loaded.
        options: Values by dotted key, as from ``--cfg-options``.
        import_custom_modules: Import what the config's ``custom_imports``
            names.

    Returns:
        The config.

    Raises:
        UserError: There is no such file, it cannot be parsed, or an option
            is of no use to it.
    """
    if isinstance(name, Config):
        cfg = Config(name.to_dict(), filename=name.filename)
    else:
        path = _resolve(str(name))
        if path.is_dir():
            path = find_config(path)
        try:
            cfg = Config.fromfile(
                path, import_custom_modules=import_custom_modules
            )
        except Exception as error:  # a config is a program
            raise UserError(
                f'config {name} does not load: {describe_error(error, 500)}'
            ) from error
        _warn_of_variables(cfg, path)
    if options:
        check_options(cfg, options)
        _check_variables(cfg, options)
        for key, value in options.items():
            try:
                cfg.merge_from_dict({key: value})
            except (KeyError, TypeError, IndexError) as error:
                raise UserError(
                    f'--cfg-options {key}={value} does not fit the config: '
                    f'{describe_error(error)}'
                ) from error
    return cfg


def _check_variables(cfg: Config, options: dict[str, Any]) -> None:
    """Refuse options for variables of the file, which has been read."""
    if not cfg.filename or not Path(cfg.filename).is_file():
        return
    source = Source(cfg.filename)
    for key in options:
        name, _, rest = key.partition('.')
        settings = [
            f'{setting}.{rest}' if rest else setting
            for setting in source.settings_of(name)
            if value_at(cfg, setting) is not None
        ]
        if settings:
            raise UserError(
                f'--cfg-options {key}: {name} is a variable of the config '
                'file, from which other values have been made already; set '
                f'{shorten(settings, 8)}'
            )


def _warn_of_variables(cfg: Config, path: Path) -> None:
    """Name variables of a base that a config sets without an effect."""
    for name, settings in Source(path).without_effect().items():
        values = {setting: value_at(cfg, setting) for setting in settings}
        settings = [k for k, v in values.items() if v not in (None, cfg[name])]
        if not settings:
            continue
        print_log(
            f'config {path}: {name} has no effect there: it is a variable '
            'of its _base_, from which other values have been made already; '
            f'set {shorten(settings, 8)}',
            logger='current',
            level=logging.WARNING,
        )


def value_at(cfg: Config, path: str) -> Any:
    """Return the value under a dotted key, or None."""
    node: Any = cfg
    for key in path.split('.'):
        try:
            is_list = isinstance(node, (list, tuple))
            node = node[int(key)] if is_list else node[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return node


def _resolve(name: str) -> Path:
    if '::' in name:
        package, _, inner = name.partition('::')
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f'config {name}: the package {package!r} is not installed'
            )
        folder = Path(spec.submodule_search_locations[0], '.mim', 'configs')
    else:
        folder, inner = Path(name).parent, Path(name).name
    path = folder / (inner if inner.endswith('.py') else f'{inner}.py')
    if path.is_file():
        return path
    if Path(name).is_dir():
        return Path(name)
    raise UserError(
        f'config {name} does not exist ({path}); {_hint(path, folder)}'
    )


def _hint(path: Path, folder: Path) -> str:
    """Say which config may have been meant."""
    ours = [f'{OURS}::{p.name}' for p in RECIPES.glob('*.py')]
    packaged = f'{OURS}::{path.name}'
    if packaged in ours:
        return f'the package has it: {packaged}'
    pattern = '**/*.py' if '.mim' in folder.parts else '*.py'
    there = [str(p.relative_to(folder)) for p in folder.glob(pattern)]
    inner = str(path.relative_to(folder))
    return (
        suggest(inner, there)
        or suggest(packaged, ours, 0.8)
        or '"lvt-dense recipes" lists those of the package, which are given '
        f'as {OURS}::NAME.py'
    )


def find_config(work_dir: Path) -> Path:
    """Find the config of a training: the newest one, with its data in it.

    Args:
        work_dir: Folder of the training.

    Raises:
        UserError: There is none.
    """
    for pattern in (f'*{DUMP}', '*.py'):
        found = sorted(work_dir.glob(pattern), key=lambda p: p.stat().st_mtime)
        if found:
            return found[-1]
    raise UserError(
        f'{work_dir} holds no config: give the folder of a training, or a '
        'config'
    )


def find_run(work_dir: str | Path) -> tuple[str, str]:
    """Find config and checkpoint of a training.

    Args:
        work_dir: Folder of the training.

    Returns:
        The config, with the data in it, and the best checkpoint, else the
        newest.

    Raises:
        UserError: One of them is not there.
    """
    folder = Path(work_dir)
    config = find_config(folder)
    checkpoint = best_checkpoint(folder)
    if checkpoint is None:
        raise UserError(
            f'{folder} holds no checkpoint such as best.pth or iter_N.pth: '
            'give '
            'the folder of a training that has been validated or has ended, '
            'or config and checkpoint'
        )
    return str(config), str(checkpoint)


def best_checkpoint(work_dir: Path) -> Path | None:
    """Return the best checkpoint of a training, else the newest one."""
    best = work_dir / BEST
    if best.is_file():
        return best
    found = sorted(
        work_dir.glob('best_*.pth'), key=lambda p: p.stat().st_mtime
    )
    return found[-1] if found else newest_checkpoint(work_dir)


def find_base(cfg: Config) -> tuple[Config | None, str]:
    """Find what a config starts from.

    It is what the file inherits from; for a config that a training has
    written, which inherits nothing, the one beside it that it was made from,
    or the recipe of the same name.

    Returns:
        The base and its name; None and an empty name where there is none.
    """
    if not cfg.filename or not Path(cfg.filename).is_file():
        return None, ''
    path = Path(cfg.filename)
    names = _inherited(path)
    if names:
        merged: dict[str, Any] = {}
        for name in names:
            part = load_config(
                name if '::' in name else str(path.parent / name)
            )
            merged = Config._merge_a_into_b(part.to_dict(), merged)
        return Config(merged), ', '.join(Path(n).name for n in names)
    source = path.with_name(f'{path.name.removesuffix(DUMP)}.py')
    if path.name.endswith(DUMP) and source.is_file():
        return load_config(str(source)), source.name
    spec = find_spec('lvt_dense')
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], '.mim', 'configs')
    recipe = folder / path.name
    if not recipe.is_file() or recipe.resolve() == path.resolve():
        return None, ''
    return load_config(str(recipe)), f'the recipe {recipe.name}'


def _inherited(path: Path) -> list[str]:
    """Return the entries of ``_base_`` of a config file."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == '_base_' for t in node.targets
        ):
            found = ast.literal_eval(node.value)
            return [found] if isinstance(found, str) else list(found)
    return []


def dataset_cfgs(cfg: Config, split: str) -> Iterator[ConfigDict]:
    """Return the data sets of a split, from inside all wrappers."""
    loader = cfg.get(f'{split}_dataloader') or {}
    stack: list[Any] = [loader.get('dataset')]
    while stack:
        dataset = stack.pop()
        if isinstance(dataset, dict):
            inner = [dataset.get('dataset'), *dataset.get('datasets', [])]
            inner = [d for d in inner if d is not None]
            stack += inner
            if not inner:
                yield dataset
        elif isinstance(dataset, (list, tuple)):
            stack += dataset


def default_hooks(cfg: Config) -> ConfigDict:
    """Return the default hooks of a config, which has some from then on.

    ``setdefault`` of a config returns what it is given, not what it keeps:
    changes of that would be lost.
    """
    if cfg.get('default_hooks') is None:
        cfg.default_hooks = {}
    return cfg.default_hooks


def evaluators(cfg: Config, split: str) -> list[ConfigDict]:
    """Return the metrics of a split as a list."""
    found = cfg.get(f'{split}_evaluator') or []
    return [found] if isinstance(found, dict) else list(found)


def set_data_root(cfg: Config, root: str) -> None:
    """Point every loader and evaluator at another copy of the data.

    Args:
        cfg: Config; changed in place.
        root: Folder with the layout of the config's own data root.

    Raises:
        UserError: The config names no data root.
    """
    roots = {cfg.get('data_root')}
    for split in ('train', 'val', 'test'):
        roots |= {d.get('data_root') for d in dataset_cfgs(cfg, split)}
    olds = sorted((r.rstrip('/') for r in roots if r), key=len, reverse=True)
    if not olds:
        raise UserError(
            f'--data-root {root}: the config {cfg.filename} names no '
            'data_root to replace'
        )
    new = str(Path(root).expanduser())

    def moved(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for old in olds:
            if value == old or value.startswith(f'{old}/'):
                return new + value[len(old) :]
        return value

    for part in (*DATA_PARTS, 'data_root', 'visualizer'):
        if part in cfg:
            cfg[part] = _mapped(cfg[part], moved)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        for key in value:
            value[key] = _mapped(value[key], change)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(item, change) for item in value)
    return change(value)
