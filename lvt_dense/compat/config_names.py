"""Names of configs: what MMEngine needs to find ours."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = 'lvt_dense'


def find_package_configs(module: ModuleType) -> None:
    """Let a module of MMEngine find ``lvt_dense::name.py``.

    MMEngine takes the distribution of a package from a table that knows the
    original names only; its pattern of config names wants a folder, as in
    ``mmdet::ssd/x.py``, and our configs lie in none; and not every version
    finds the folder of an editable install.

    Args:
        module: A module of MMEngine that has just been imported.
    """
    table = getattr(module, 'MODULE2PACKAGE', None)
    if table is not None:
        # by import name, because the distribution may be onedl-* as well
        table['mmseg'] = 'mmseg'
        table[OURS] = OURS
    _answer_for_us(module, '_get_package_and_cfg_path', _split)
    _answer_for_us(module, 'get_installed_path', _folder)
    if hasattr(module, 'get_model'):
        _build_for_us(module)
    elif hasattr(getattr(module, 'Config', None), '_get_cfg_path'):
        _keep_scope(module.Config)


def _split(name: str) -> tuple[str, str]:
    path = name.partition('::')[2]
    return OURS, path if path.endswith('.py') else f'{path}.py'


def _folder(package: str) -> str:
    return str(Path(__file__).parents[1])


def _answer_for_us(
    module: ModuleType, name: str, answer: Callable[[str], Any]
) -> None:
    """Replace a function of a module where it is asked about this package."""
    original = getattr(module, name, None)
    if original is None or hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def replaced(asked: str) -> Any:
        is_ours = asked.partition('::')[0] == OURS
        return answer(asked) if is_ours else original(asked)

    setattr(module, name, replaced)


def _keep_scope(config: Any) -> None:
    """Leave the parts of our configs in the scope that the configs name.

    MMEngine would look for everything in a ``package::`` base in the scope of
    the package; ours are written for the scopes ``mmdet`` and ``mmseg``.
    """
    original = config._get_cfg_path
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        path, scope = original(cfg_path, filename)
        return path, None if scope == OURS else scope

    config._get_cfg_path = staticmethod(get_cfg_path)


def _build_for_us(hub: Any) -> None:
    """Let ``mmengine.hub.get_model`` build in the scope of our config."""
    original = hub.get_model
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def get_model(
        cfg_path: str, pretrained: bool = False, **kwargs: Any
    ) -> Any:
        if cfg_path.partition('::')[0] != OURS:
            return original(cfg_path, pretrained, **kwargs)
        cfg = hub.get_config(cfg_path, pretrained)
        with hub.DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = hub.MODELS.build(cfg.model, default_args=kwargs)
        if pretrained:
            hub.load_checkpoint(model, cfg.model_path)
            model._is_init = True  # else the runner would initialize it anew
        return model

    package = sys.modules.get(hub.__package__)
    modules: tuple[Any, ...] = (hub, package)
    for module in modules:
        if getattr(module, 'get_model', None) is original:
            module.get_model = get_model
