"""Run mmcv's functions on the pure PyTorch operators, or on both kinds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest

from lvt_dense.ops.stand_in import StandIn

_MODULES = (
    'bbox',
    'box_iou_rotated',
    'carafe',
    'deform_conv',
    'deform_roi_pool',
    'focal_loss',
    'line_nms',
    'masked_conv',
    'modulated_deform_conv',
    'multi_scale_deform_attn',
    'nms',
    'psa_mask',
    'roi_align',
    'roi_align_rotated',
    'roi_pool',
)


@contextmanager
def _operators_from(module: ModuleType) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _MODULES:
            if find_spec(f'mmcv.ops.{name}') is None:
                continue  # MMCV 2.1 has no line_nms
            user = import_module(f'mmcv.ops.{name}')
            patch.setattr(user, 'ext_module', module)
        yield


@pytest.fixture
def pure_ops() -> Iterator[None]:
    """Let mmcv's functions use the pure operators, compiled ones or not."""
    with _operators_from(StandIn('mmcv._ext')):
        yield


@pytest.fixture
def on_both() -> Callable[[Callable], tuple]:
    """Call a function with the pure and with the compiled operators."""

    def call(function: Callable, *args: object) -> tuple:
        with _operators_from(StandIn('mmcv._ext')):
            pure = function(*args)
        return pure, function(*args)

    return call
