"""Point the loaders and evaluators of a config at other data."""

from collections.abc import Callable, Iterator
from typing import Any

from mmengine.config import Config, ConfigDict

# Keys of a data set that say how, not what, it loads.
_KEPT = ('pipeline', 'filter_cfg', 'backend_args', 'test_mode', 'lazy_init')


def replace_datasets(
    cfg: Config, make: Callable[[str, dict], dict[str, Any]]
) -> None:
    """Replace the data set of every loader, inside its wrappers.

    A concatenation of several data sets becomes one.

    Args:
        cfg: Config; changed in place.
        make: Takes the split and what is kept of the old data set (pipeline,
            filter, backend), and returns the new one.
    """
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader['dataset'] = _replaced(loader['dataset'], split, make)


def _replaced(
    dataset: Any, split: str, make: Callable[[str, dict], dict[str, Any]]
) -> ConfigDict:
    if isinstance(dataset, (list, tuple)):
        return _replaced(dataset[0], split, make)
    if dataset.get('datasets'):
        return _replaced(dataset['datasets'][0], split, make)
    if isinstance(dataset.get('dataset'), (dict, list, tuple)):
        dataset['dataset'] = _replaced(dataset['dataset'], split, make)
        return dataset
    kept = {key: dataset[key] for key in _KEPT if key in dataset}
    return ConfigDict(make(split, kept))


def replace_evaluators(
    cfg: Config, make: Callable[[str, dict | None], dict[str, Any]]
) -> None:
    """Replace the evaluator of ``val`` and ``test``.

    Args:
        cfg: Config; changed in place.
        make: Takes the split and the first evaluator there, or None, and
            returns the new one.
    """
    for split in ('val', 'test'):
        old = cfg.get(f'{split}_evaluator')
        if isinstance(old, (list, tuple)):
            old = old[0] if old else None
        if old or cfg.get(f'{split}_dataloader'):
            cfg[f'{split}_evaluator'] = ConfigDict(make(split, old))


def steps_of(cfg: Config) -> Iterator[dict]:
    """Yield every transform of every pipeline, nested ones too."""
    for key in ('train', 'val', 'test'):
        yield from find_dicts(cfg.get(f'{key}_dataloader'))
    for key in ('train_pipeline', 'test_pipeline', 'tta_pipeline'):
        yield from find_dicts(cfg.get(key))
    # such as load_mask, of which the pipelines have copies
    yield from (v for v in cfg.values() if isinstance(v, dict) and 'type' in v)


def find_dicts(part: Any) -> Iterator[dict]:
    """Yield every dict inside a part of a config, and the part itself."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from find_dicts(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from find_dicts(value)


def set_variables(cfg: Config, **values: Any) -> None:
    """Set variables of the config file itself that are there already.

    They have done their work when the file is loaded, but people read them
    in the dumped config.
    """
    for key, value in values.items():
        if key in cfg:
            cfg[key] = value
