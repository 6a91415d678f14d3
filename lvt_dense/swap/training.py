"""Settings around the model that belong to one backbone."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS

from lvt_dense.utils.text import describe_error

# Learning rates by depth know the blocks of BEiT, ConvNeXt and the like only.
BY_DEPTH = (
    'LearningRateDecayOptimizerConstructor',
    'LayerDecayOptimizerConstructor',
)
BY_DEPTH_KEYS = (
    'num_layers',
    'decay_rate',
    'decay_type',
    'layer_decay_rate',
)
# Parameters of the published transformers whose names occur in optimizer
# settings, also of variants that have no such parameter.
FOREIGN = (
    'absolute_pos_embed',
    'relative_position_bias_table',
    'pos_embed',
    'pos_block',
    'patch_embed',
    'cls_token',
)


def set_input_norm(node: Any, norm: Mapping[str, Any]) -> None:
    """Give every data preprocessor in a config the norm of a backbone.

    Args:
        node: Any part of a config; changed in place.
        norm: ``input_norm`` of the backbone.
    """
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        is_leaf = isinstance(value, dict) and key not in value
        if key == 'data_preprocessor' and is_leaf:
            _set_norm(value, norm)
        if key != 'reid':
            set_input_norm(value, norm)


def _set_norm(preprocessor: dict[str, Any], norm: Mapping[str, Any]) -> None:
    fill = preprocessor.get('pad_value')
    if fill:
        # Padding is done on normalized images: keep its gray.
        pixel = fill * _mean(preprocessor.get('std') or [1.0])
        pixel += _mean(preprocessor.get('mean') or [0.0])
        fill = (pixel - _mean(norm['mean'])) / _mean(norm['std'])
        preprocessor['pad_value'] = round(fill, 3)
    preprocessor.update(
        mean=list(norm['mean']),
        std=list(norm['std']),
        bgr_to_rgb=norm['bgr_to_rgb'],
    )
    if preprocessor.get('rgb_to_bgr'):
        preprocessor['rgb_to_bgr'] = False


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def drop_model_checkpoints(node: dict[str, Any]) -> None:
    """Drop checkpoints of a whole model that has the old backbone in it."""
    if node.get('pretrained'):
        node['pretrained'] = None
    init = node.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        node['init_cfg'] = None


def adapt_optimizer(
    cfg: Config, old_names: Sequence[str] | None, new_names: Sequence[str]
) -> None:
    """Drop optimizer settings that only the old backbone gave a meaning.

    Args:
        cfg: Config; changed in place.
        old_names: Names of the old backbone's parameters in the model; None
            if they are not known.
        new_names: Those of the new one.
    """
    wrapper = cfg.get('optim_wrapper')
    if not isinstance(wrapper, dict):
        return
    settings = wrapper.get('paramwise_cfg') or {}
    if wrapper.get('constructor') in BY_DEPTH:
        wrapper['constructor'] = 'DefaultOptimWrapperConstructor'
        for key in BY_DEPTH_KEYS:
            settings.pop(key, None)
    keys = settings.get('custom_keys') or {}
    for key in list(keys):
        ours = _occurs(key, new_names)
        theirs = old_names is not None and _occurs(key, old_names)
        foreign = any(name in key for name in FOREIGN)
        if not ours and (theirs or foreign or '.stages.' in key):
            del keys[key]


def _occurs(key: str, names: Iterable[str]) -> bool:
    return any(key in name for name in names)


def import_custom_modules(cfg: Config) -> str:
    """Import what a config's ``custom_imports`` names, as far as it is there.

    The package of a backbone that is swapped out need not be.

    Returns:
        What cannot be imported, and why; empty if all could.
    """
    faults = []
    for module in _imports_of(cfg):
        try:
            import_module(module)
        except Exception as error:  # of code that is not ours
            faults.append(f'{module}: {describe_error(error)}')
    return '; '.join(faults)


def _imports_of(cfg: Config) -> list[str]:
    modules = (cfg.get('custom_imports') or {}).get('imports') or []
    return [modules] if isinstance(modules, str) else list(modules)


def drop_imports(cfg: Config, package: str) -> None:
    """Drop the import of a package that no type in the config needs now."""
    imports = cfg.get('custom_imports')
    if not imports or _names_package(cfg.to_dict(), package):
        return
    modules = _imports_of(cfg)
    kept = [m for m in modules if m.split('.')[0] != package]
    if not kept:
        cfg['custom_imports'] = None
    elif kept != modules:
        imports['imports'] = kept


def _names_package(node: Any, package: str) -> bool:
    if isinstance(node, dict):
        kind = node.get('type')
        scope = (
            MODELS.split_scope_key(kind)[0] if isinstance(kind, str) else None
        )
        return scope == package or any(
            _names_package(value, package) for value in node.values()
        )
    if isinstance(node, (list, tuple)):
        return any(_names_package(value, package) for value in node)
    return False
