"""Child registries of MMEngine's, with the scope ``lvt_dense``.

Thanks to the ``locations`` below, ``type='lvt_dense.MobileViT'`` builds from
any MMDetection or MMSegmentation config with nothing imported beforehand.
"""

from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

from lvt_dense.utils.errors import UserError


class _LoudRegistry(Registry):
    """A registry whose import errors are not mistaken for a missing name.

    MMEngine catches ``ImportError`` while it looks for a scope and then says
    that the name "is not in the registry". Raised as ``RuntimeError``, the
    real reason reaches the user.

    Attributes:
        unusable: Frameworks that could not be imported, each with its error.
            What builds on them is not registered.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unusable: dict[str, Exception] = {}

    def get(self, key: str) -> type | None:
        """Find a class by its name, with or without the scope.

        A class that is registered already is found without importing the
        frameworks, which takes seconds.

        Raises:
            UserError: There is no such class, and one of the frameworks that
                it may need could not be imported.
        """
        scope, name = self.split_scope_key(key)
        if scope in (None, self.scope) and name in self.module_dict:
            return self.module_dict[name]
        found = super().get(key)
        if found is None and self.unusable:
            reasons = '; '.join(
                f'{framework} cannot be imported ({error})'
                for framework, error in self.unusable.items()
            )
            raise UserError(
                f'{name} is not registered in lvt_dense, where {reasons}: '
                'check its name, or install what it builds on'
            ) from next(iter(self.unusable.values()))
        return found

    def import_from_location(self) -> None:
        try:
            super().import_from_location()
        except ImportError as error:
            raise RuntimeError(
                f'lvt_dense could not import {", ".join(self._locations)}: '
                f'{error}'
            ) from error


def _child(name: str, parent: Registry, locations: list[str]) -> Registry:
    return _LoudRegistry(
        name,
        parent=parent,
        scope='lvt_dense',
        locations=[f'lvt_dense.{location}' for location in locations],
    )


MODELS = _child('model', MMENGINE_MODELS, ['models.registration'])
TASK_UTILS = _child('task util', MMENGINE_TASK_UTILS, ['models.registration'])
DATASETS = _child('dataset', MMENGINE_DATASETS, ['datasets.registration'])
TRANSFORMS = _child(
    'transform', MMENGINE_TRANSFORMS, ['datasets.registration']
)
DATA_SAMPLERS = _child(
    'data sampler', MMENGINE_DATA_SAMPLERS, ['datasets.registration']
)
METRICS = _child('metric', MMENGINE_METRICS, ['evaluation'])
VISUALIZERS = _child('visualizer', MMENGINE_VISUALIZERS, ['visualization'])
HOOKS = _child('hook', MMENGINE_HOOKS, ['engine.hooks'])
OPTIM_WRAPPERS = _child(
    'optimizer wrapper', MMENGINE_OPTIM_WRAPPERS, ['engine.optimizers']
)
LOOPS = _child('loop', MMENGINE_LOOPS, ['engine.loops'])
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor',
    MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    ['engine.optimizers'],
)
