"""Find the parts of a model that depend on the number of classes."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmengine.registry import MODELS

from lvt_dense.utils.config_class import lookup_class

# Parts whose num_classes, if any, is of another kind.
_NO_HEADS = (
    *('backbone', 'neck', 'data_preprocessor', 'init_cfg', 'rpn_head'),
    'semantic_head',  # of stuff, beside heads of things
)


def find_class_counts(
    part: Any, scope: str, path: str = 'model'
) -> Iterator[tuple[str, dict, int]]:
    """Find every part of a model that counts classes.

    That is every dict that has ``num_classes``, and every one whose type
    takes it and has a default above 1: box, mask, decode and auxiliary
    heads, lists of them, and losses with a table of classes.

    Args:
        part: Config of the model, or of a part of it.
        scope: Default scope of the config, in which types are looked up.
        path: Where the part stands.

    Yields:
        The dotted path, the dict and the number of classes.
    """
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from find_class_counts(item, scope, f'{path}.{index}')
    if not isinstance(part, dict) or 'contrastive_cfg' in part:
        return  # the latter counts words, not classes
    number = part.get('num_classes')
    if number is None and 'type' in part:
        number = _default_number(part['type'], scope)
    if isinstance(number, int):
        yield path, part, number
    for key, value in part.items():
        if key not in _NO_HEADS:
            yield from find_class_counts(value, scope, f'{path}.{key}')


def _default_number(kind: Any, scope: str) -> int | None:
    cls = lookup_class(MODELS, kind, scope)
    if not inspect.isclass(cls):
        return None
    for base in cls.__mro__:
        try:
            init = vars(base).get('__init__', object.__init__)
            parameters = inspect.signature(init).parameters
        except (TypeError, ValueError):
            return None
        default = getattr(parameters.get('num_classes'), 'default', None)
        if isinstance(default, int):
            return default if default > 1 else None
        takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        if not takes_more:
            return None
    return None


def set_num_classes(model: dict, number: int, scope: str) -> list[str]:
    """Set the number of classes of every head.

    Args:
        model: Config of the model; changed in place.
        number: Number of classes.
        scope: Default scope of the config.

    Returns:
        The dotted paths of the heads.
    """
    changed = []
    for path, head, old in list(find_class_counts(model, scope)):
        head['num_classes'] = number
        outputs = head.get('out_channels')
        if 'loss_decode' in head and outputs is not None:
            if outputs == old:
                head['out_channels'] = number
            elif outputs == 1 and number != 2:
                head.pop('out_channels')
        changed.append(path)
    return changed
