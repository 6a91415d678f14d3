"""The module that replaces ``mmcv._ext`` if it is missing.

Loads next to nothing when it is imported, because it may run at the start of
every Python process of an environment.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any, NoReturn

NAME = 'mmcv._ext'

# Which module of this package holds which function of mmcv._ext.
OPERATORS = {
    'bbox_overlaps': 'nms',
    'box_iou_rotated': 'rotated',
    'carafe_backward': 'carafe',
    'carafe_forward': 'carafe',
    'carafe_naive_backward': 'carafe',
    'carafe_naive_forward': 'carafe',
    'deform_conv_backward_input': 'deform_conv',
    'deform_conv_backward_parameters': 'deform_conv',
    'deform_conv_forward': 'deform_conv',
    'deform_roi_pool_backward': 'deform_roi_pool',
    'deform_roi_pool_forward': 'deform_roi_pool',
    'get_compiler_version': 'info',
    'get_compiling_cuda_version': 'info',
    'line_nms_forward': 'line_nms',
    'masked_col2im_forward': 'masked_conv',
    'masked_im2col_forward': 'masked_conv',
    'modulated_deform_conv_backward': 'deform_conv',
    'modulated_deform_conv_forward': 'deform_conv',
    'ms_deform_attn_backward': 'ms_deform_attn',
    'ms_deform_attn_forward': 'ms_deform_attn',
    'nms': 'nms',
    'nms_match': 'nms',
    'nms_rotated': 'rotated',
    'psamask_backward': 'psamask',
    'psamask_forward': 'psamask',
    'roi_align_backward': 'roi_align',
    'roi_align_forward': 'roi_align',
    'roi_pool_backward': 'roi_pool',
    'roi_pool_forward': 'roi_pool',
    'sigmoid_focal_loss_backward': 'focal_loss',
    'sigmoid_focal_loss_forward': 'focal_loss',
    'softmax_focal_loss_backward': 'focal_loss',
    'softmax_focal_loss_forward': 'focal_loss',
    'softnms': 'nms',
}


def _make_missing(name: str) -> Callable[..., NoReturn]:
    """Return a function that says that the operator `name` is missing."""

    def missing(*args: Any, **kwargs: Any) -> NoReturn:
        from lvt_dense.utils.errors import UserError

        raise UserError(
            f"mmcv's operator '{name}' has no pure PyTorch form in "
            'lvt_dense.ops and needs the compiled mmcv. Build it with '
            '`make ops` in a checkout of lvt_dense, or with `pip install '
            '--force-reinstall --no-deps --no-cache-dir --no-build-isolation '
            'onedl-mmcv` (needs a C++ compiler and takes 15 to 40 minutes).'
        )

    missing.__name__ = missing.__qualname__ = name
    return missing


class StandIn(ModuleType):
    """``mmcv._ext`` made of the functions of this package.

    Functions are imported when they are first asked for. A name that this
    package lacks gives a function that raises when it is called, because
    mmcv checks at import that the names exist.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the operator `name`."""
        if name.startswith('__'):
            raise AttributeError(name)
        if name in OPERATORS:
            from importlib import import_module

            module = import_module(f'lvt_dense.ops.{OPERATORS[name]}')
            function = getattr(module, name)
        else:
            function = _make_missing(name)
        setattr(self, name, function)
        return function


class _Loader:
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name, StandIn.__doc__)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Finder:
    """Finds the compiled ``mmcv._ext``, or else the stand-in.

    It stands first in ``sys.meta_path``, because it also has to step in where
    the compiled module is found but does not load.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != NAME:
            return None
        compiled = self._find_compiled(path, target)
        if compiled is None:
            from importlib.machinery import ModuleSpec

            return ModuleSpec(NAME, _Loader(), origin='lvt_dense.ops')
        return compiled

    def _find_compiled(
        self, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        """Return the spec of a compiled module that loads, or None."""
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, 'find_spec'):
                continue
            spec = finder.find_spec(NAME, path, target)
            if spec is not None:
                return spec if _loads(spec) else None
        return None


def _loads(spec: ModuleSpec) -> bool:
    """Try to load the shared library; warn why it does not load."""
    from importlib.machinery import ExtensionFileLoader

    if not isinstance(spec.loader, ExtensionFileLoader):
        return True
    import warnings
    from ctypes import CDLL

    import torch  # noqa: F401  (the library is linked against torch's)

    try:
        CDLL(spec.loader.path)
    except OSError as error:
        warnings.warn(
            f'The compiled mmcv does not load ({error}), so the pure PyTorch '
            'operators of lvt_dense are used. Rebuild mmcv for the installed '
            'torch to use the compiled ones.',
            stacklevel=2,
        )
        return False
    return True


def install() -> None:
    """Let the stand-in take the place of a missing ``mmcv._ext``.

    Nothing is imported. A second call does nothing.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def operator_forms(device_type: str = 'cpu') -> dict[str, str]:
    """Tell which form of each operator is in use.

    Args:
        device_type: Of the tensors: ``cpu``, ``cuda`` and so on.

    Returns:
        By the name of the operator ``mmcv`` for MMCV's compiled form,
        ``torchvision`` for torchvision's kernel, or ``pytorch``.

    Raises:
        ModuleNotFoundError: mmcv is not installed.
    """
    names = dict.fromkeys(
        _base_name(name)
        for name, module in OPERATORS.items()
        if module != 'info'
    )
    if using_compiled():
        return dict.fromkeys(names, 'mmcv')
    from lvt_dense.ops.kernels import uses_torchvision

    return {
        name: 'torchvision'
        if uses_torchvision(name, device_type)
        else 'pytorch'
        for name in names
    }


def _base_name(name: str) -> str:
    """Leave out which pass of an operator a function is."""
    for ending in ('_forward', '_backward'):
        name = name.split(ending)[0]
    return name


def using_compiled() -> bool:
    """Tell whether mmcv's compiled operators are in use, on all devices.

    Returns:
        True with the compiled operators, False with the pure PyTorch ones.

    Raises:
        ModuleNotFoundError: mmcv is not installed.
    """
    from importlib import import_module

    install()
    return not isinstance(import_module(NAME), StandIn)
