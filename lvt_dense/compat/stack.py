"""Differences between the versions of the stack."""

import io
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version


def allow_own_checkpoints() -> None:
    """Let torch >= 2.6 read the log history in MMEngine's checkpoints.

    Its default refuses every class that was not allowed beforehand.
    """
    if digit_version(torch.__version__) < digit_version('2.6'):
        return
    core = getattr(np, '_core', None) or np.core
    dtypes = {type(np.dtype(kind)) for kind in 'fdilq?'}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            np.ndarray,
            np.dtype,
            core.multiarray._reconstruct,
            core.multiarray.scalar,
            # the original MMEngine pickles the methods of its log history
            (_method_of_history, 'builtins.getattr'),
            *dtypes,
        ]
    )


def import_stack() -> None:
    """Import MMDetection and MMSegmentation without their messages.

    The onedl distributions print that an optional package is missing.
    """
    with redirect_stdout(io.StringIO()):
        for package in ('mmdet', 'mmseg'):
            if find_spec(package):
                import_module(f'{package}.datasets')


def _method_of_history(owner: Any, name: str) -> Any:
    """Act as the ``getattr`` that a checkpoint may use."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise ValueError(f'a checkpoint asks for {name!r} of {owner!r}')
    return getattr(owner, name)
