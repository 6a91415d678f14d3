"""timm without torchvision.

timm imports torchvision, of which its backbones use nothing; where that is
not installed, empty modules stand in for it.
"""

import enum
import importlib.machinery
import sys
import types

from torch import nn

TORCHVISION = (
    'torchvision',
    'torchvision.transforms',
    'torchvision.transforms.functional',
    'torchvision.ops',
    'torchvision.ops.misc',
    'torchvision.models',
    'torchvision.models.feature_extraction',
    'torchvision.datasets',
    'torchvision.utils',
)


INTERPOLATION = enum.Enum(
    'InterpolationMode',
    'NEAREST NEAREST_EXACT BILINEAR BICUBIC BOX HAMMING LANCZOS',
)


class _Stub(types.ModuleType):
    """A module of which every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(name)
        if name == 'InterpolationMode':
            return INTERPOLATION
        return type(name, (nn.Module,), {})


def _stand_in_for_torchvision() -> None:
    for name in TORCHVISION:
        module = _Stub(name)
        module.__path__ = []
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
        parent, _, child = name.rpartition('.')
        if parent:
            setattr(sys.modules[parent], child, module)


def import_timm() -> types.ModuleType:
    """Import timm, with or without torchvision.

    Raises:
        ImportError: There is no timm.
    """
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        _stand_in_for_torchvision()
    import timm

    return timm
