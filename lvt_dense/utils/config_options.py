"""Check the names of ``--cfg-options`` before they are merged.

MMEngine accepts any name: a misspelled one becomes a new entry, which has no
effect, or fails much later.
"""

import inspect
from typing import Any

from mmengine import registry as mm_registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import find_near

CUTOFF = 0.85  # similarity from which a name is taken for a slip
# What a config may build, in the order in which a name is looked up.
REGISTRIES: tuple[Registry, ...] = (
    mm_registry.OPTIMIZERS,
    mm_registry.OPTIM_WRAPPERS,
    mm_registry.PARAM_SCHEDULERS,
    mm_registry.HOOKS,
    mm_registry.LOOPS,
    mm_registry.DATA_SAMPLERS,
    mm_registry.DATASETS,
    mm_registry.TRANSFORMS,
    mm_registry.MODELS,
    mm_registry.TASK_UTILS,
    mm_registry.METRICS,
    mm_registry.VISUALIZERS,
)


def check_options(cfg: Config, options: dict[str, Any]) -> None:
    """Check that options name settings that there are or can be.

    Args:
        cfg: Config that the options are for.
        options: Values by dotted key.

    Raises:
        UserError: A name is misspelled; the message suggests the right one.
    """
    for key in options:
        node: Any = cfg
        path: list[str] = []
        for part in key.split('.'):
            if isinstance(node, (list, tuple)):
                if not part.isdigit() or int(part) >= len(node):
                    break  # which the merge will tell
                node = node[int(part)]
            elif not isinstance(node, dict) and node is not cfg:
                break
            elif part in node:
                node = node[part]
            else:
                if not part.startswith('_'):
                    _check_name(cfg, node, path, part, key)
                break
            path.append(part)


def _check_name(
    cfg: Config, node: Any, path: list[str], name: str, key: str
) -> None:
    known, is_closed = _names_of(cfg, node, path)
    if name in known:
        return
    near = find_near(name, known, 0.6 if is_closed else CUTOFF)
    if not near and not is_closed:
        return
    where = '.'.join(path) or 'the config'
    hint = (
        f'did you mean {" or ".join(near)}?'
        if near
        else f'it has {", ".join(sorted(known))}'
    )
    raise UserError(
        f'--cfg-options {key}: {where} has no setting {name!r}; {hint}'
    )


def _names_of(
    cfg: Config, node: Any, path: list[str]
) -> tuple[set[str], bool]:
    """List the settings that a part can have, and whether these are all."""
    if not path:
        runner = inspect.signature(Runner).parameters
        return {*cfg.keys(), *runner, 'auto_scale_lr', 'distillation'}, True
    known = set(node.keys())
    if len(path) == 1 and path[0].endswith('_dataloader'):
        loader = set(inspect.signature(DataLoader).parameters)
        return known | loader, True
    if 'type' not in node:
        return known, False
    kind = _class_of(cfg, node)
    if kind is None:
        return known, False
    arguments, is_closed = _arguments(kind)
    return known | arguments, is_closed


def _class_of(cfg: Config, node: Any) -> type | None:
    # MMEngine's own first, which need no other package.
    for scope in ('mmengine', cfg.get('default_scope')):
        for registry in REGISTRIES:
            found = lookup_class(registry, node, scope)
            if inspect.isclass(found):
                return found
    return None


def _arguments(kind: type) -> tuple[set[str], bool]:
    """List the arguments of a class, through all classes that pass them on."""
    names: set[str] = set()
    for base in inspect.getmro(kind):
        if '__init__' not in vars(base) or base is object:
            continue
        init = vars(base)['__init__']
        parameters = inspect.signature(init).parameters.values()
        names |= {p.name for p in parameters} - {'self'}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            return names, True
    return names, False
