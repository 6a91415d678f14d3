"""Run mmcv's functions on the pure PyTorch operators, or on both kinds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import pytest

from lvt_dense.ops import using_compiled
from lvt_dense.ops.stand_in import StandIn

_MODULES = (
    'bbox',
    'box_iou_quadri',
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what compares with the compiled operators where they lack."""
    if item.get_closest_marker('compiled_ops') and not using_compiled():
        pytest.skip('mmcv has no compiled operators here')


@contextmanager
def _operators_from(module: ModuleType) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _MODULES:
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

    def call(function: Callable) -> tuple:
        with _operators_from(StandIn('mmcv._ext')):
            pure = function()
        return pure, function()

    return call
