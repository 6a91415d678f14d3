"""Hooks on the import of MMEngine.

Kept to what Python has already loaded when it starts: this module runs in
every process of an environment that lvt_dense is installed in.
"""

import sys

from lvt_dense.ops import stand_in

_NAMES = 'mmengine.config.config', 'mmengine.config.utils', 'mmengine.hub.hub'


class AfterImport:
    """Meta-path finder that calls a function on a module just imported."""

    def __init__(self) -> None:
        self.actions = {}
        self._asked = set()

    def register(self, name, action) -> None:
        """Call ``action(module)`` after the import, or now if it is done."""
        self.actions[name] = action
        if name in sys.modules:
            action(sys.modules[name])

    def find_spec(self, name, path=None, target=None):
        """Find a module as the other finders do, and note it."""
        action = self.actions.get(name)
        if action is None or name in self._asked:
            return None
        self._asked.add(name)
        try:
            for finder in sys.meta_path:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
            else:
                return None
        finally:
            self._asked.discard(name)
        execute = spec.loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            action(module)

        spec.loader.exec_module = exec_module
        return spec


def _adapt_names(module) -> None:
    from lvt_dense._names import adapt

    adapt(module)


def install() -> None:
    """Register the hooks; a second call does nothing."""
    stand_in.install()  # where mmcv's compiled operators are missing
    if any(isinstance(finder, AfterImport) for finder in sys.meta_path):
        return
    hooks = AfterImport()
    sys.meta_path.insert(0, hooks)
    for name in _NAMES:
        hooks.register(name, _adapt_names)
