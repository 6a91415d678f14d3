"""Hooks on the imports of MMEngine and MMCV.

Kept to what Python has already loaded when it starts: this module runs in
every process of an environment that lvt_dense is installed in.
"""

import sys

TYPE_CHECKING = False  # as typing's own, which type checkers take for True
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportHooks:
    """Meta-path finder that acts on certain imports.

    Args:
        before: Functions by the name of the module before whose import they
            run; without arguments.
        after: Functions by the name of the module after whose import they
            run; they are given the module.
    """

    def __init__(
        self,
        before: 'Mapping[str, Callable[[], None]]',
        after: 'Mapping[str, Callable[[ModuleType], None]]',
    ) -> None:
        self._before = before
        self._after = after
        self._searched: set[str] = set()

    def catch_up(self) -> None:
        """Act on what has been imported already."""
        for name, prepare in self._before.items():
            if name in sys.modules:
                prepare()
        for name, adapt in self._after.items():
            if name in sys.modules:
                adapt(sys.modules[name])

    def find_spec(
        self,
        name: str,
        path: 'Sequence[str] | None' = None,
        target: 'ModuleType | None' = None,
    ) -> 'ModuleSpec | None':
        """Find a module as the other finders do, and act on it."""
        if name in self._before:
            self._before[name]()
        if name not in self._after or name in self._searched:
            return None
        self._searched.add(name)
        try:
            spec = self._search(name, path, target)
        finally:
            self._searched.discard(name)
        if spec is not None and spec.loader is not None:
            self._extend(spec.loader, self._after[name])
        return spec

    def _search(
        self,
        name: str,
        path: 'Sequence[str] | None',
        target: 'ModuleType | None',
    ) -> 'ModuleSpec | None':
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None

    def _extend(
        self, loader: 'Loader', action: 'Callable[[ModuleType], None]'
    ) -> None:
        execute = loader.exec_module

        def exec_module(module: 'ModuleType') -> None:
            execute(module)
            action(module)

        vars(loader)['exec_module'] = exec_module


def _install_operators() -> None:
    from lvt_dense.ops import install

    install()


def _adapt_names(module: 'ModuleType') -> None:
    from lvt_dense.compat.config_names import find_package_configs

    find_package_configs(module)


def _load_safely(module: 'ModuleType') -> None:
    from lvt_dense.compat.checkpoint_loading import forbid_code
    from lvt_dense.compat.stack import allow_own_checkpoints

    forbid_code(module)
    allow_own_checkpoints()


def _adapt_suppression(module: 'ModuleType') -> None:
    from lvt_dense.ops.batched_nms import compute_in_float32

    compute_in_float32(module)


def install_hooks() -> None:
    """Install the hooks; a second call does nothing."""
    if any(isinstance(finder, ImportHooks) for finder in sys.meta_path):
        return
    engine = 'config.config', 'config.utils', 'hub.hub'
    hooks = ImportHooks(
        before={'mmcv': _install_operators},
        after={
            **{f'mmengine.{name}': _adapt_names for name in engine},
            'mmengine.runner.checkpoint': _load_safely,
            'mmcv.ops.nms': _adapt_suppression,
        },
    )
    sys.meta_path.insert(0, hooks)
    hooks.catch_up()
