"""Import paths of earlier versions, which still work, with a warning.

Like :mod:`lvt_dense.compat.startup`, kept to what Python has already loaded
when it starts.
"""

import sys

TYPE_CHECKING = False  # as typing's own, which type checkers take for True
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Old path: new path, both below ``lvt_dense``. A package stands for all that
# is in it, and a longer path goes before a shorter one.
MOVED = {
    'apis.checks': 'engine.data_checks',
    'apis.inputs': 'engine.prediction_inputs',
    'apis.model_files': 'checkpoints.model_files',
    'apis.runs': 'engine.runner',
    'apis.start': 'engine.initial_weights',
    'apis.train_options': 'engine.train_options',
    'commands.cli': 'commands.parser',
    'data_cache': 'utils.cache',
    'datasets.catalog': 'datasets.registration',
    'datasets.formats': 'datasets.own.formats',
    'datasets.formats.description': 'datasets.own.formats.labeled_data',
    'datasets.formats.reading': 'utils.reading',
    'datasets.replay': 'datasets.exact_resume',
    'deploy.predictor': 'runtime',
    'deploy.silence': 'deploy.quiet',
    'errors': 'utils.errors',
    'files': 'utils.files',
    'hooks': 'engine.hooks',
    'hooks.replay_hook': 'engine.hooks.exact_resume_hook',
    'loops': 'engine.loops',
    'metainfo': 'datasets.metainfo',
    'models.catalog': 'models.registration',
    'models.mono3d.written_gradients': 'models.mono3d.explicit_gradients',
    'multi_scale': 'engine.multi_scale',
    'optim': 'engine.optimizers',
    'options': 'utils.config_options',
    'own_data': 'datasets.own',
    'replay': 'engine.exact_resume',
    'schedules': 'engine.schedules',
    'swap.api': 'swap.swap',
    'swap.readers': 'swap.feature_readers',
    'swap.slot': 'swap.backbone_slot',
    'swap.write': 'swap.config_file',
    'unpickling': 'utils.unpickling',
}
PACKAGE = 'lvt_dense.'


def new_path(name: str) -> str | None:
    """Return the path that a module has moved to, or None.

    Args:
        name: Full name of a module, such as ``lvt_dense.own_data.api``.
    """
    if not name.startswith(PACKAGE):
        return None
    head, tail = name[len(PACKAGE) :], ''
    while head:
        if head in MOVED:
            return f'{PACKAGE}{MOVED[head]}{tail}'
        head, _, last = head.rpartition('.')
        tail = f'.{last}{tail}'
    return None


class OldPathFinder:
    """Meta-path finder that answers an old path with the moved module."""

    def find_spec(
        self,
        name: str,
        path: 'Sequence[str] | None' = None,
        target: 'ModuleType | None' = None,
    ) -> 'ModuleSpec | None':
        """Find a module under its old path."""
        new = new_path(name)
        if new is None:
            return None
        # Python has loaded the class of specs, importlib.machinery not.
        make_spec = type(sys.__spec__)
        return make_spec(name, _MovedModule(new))  # type: ignore[arg-type]


class _MovedModule:
    """Loader that hands out the moved module itself, not a copy of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: 'ModuleSpec') -> 'ModuleType':
        import warnings
        from importlib import import_module

        warnings.warn(
            f'{spec.name} has moved to {self.name}',
            FutureWarning,
            stacklevel=2,
        )
        module = import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: 'ModuleType') -> None:
        # The import system has just set that of the old path.
        module.__spec__ = self.spec


def install_old_paths() -> None:
    """Install the finder; a second call does nothing."""
    if not any(isinstance(f, OldPathFinder) for f in sys.meta_path):
        sys.meta_path.insert(0, OldPathFinder())
