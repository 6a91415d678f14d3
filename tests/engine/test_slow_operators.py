"""A training on a GPU is told of slow operators; no GPU is needed here."""

import logging

import pytest
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack, RoIAlign
from torch import nn

from lvt_dense.engine import slow_operators
from lvt_dense.engine.slow_operators import (
    find_slow_operators,
    warn_of_slow_operators,
)
from lvt_dense.ops import kernels, using_compiled

pytestmark = pytest.mark.skipif(
    using_compiled(), reason='MMCV has compiled operators'
)


@pytest.fixture
def detector() -> nn.Module:
    model = nn.Sequential(RoIAlign(7), ModulatedDeformConv2dPack(4, 4, 3))
    model.rpn_head = nn.Conv2d(1, 1, 1)
    return model


def test_operators_that_a_step_uses(
    detector: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, 'has_kernels', lambda device: False)
    slow = find_slow_operators(detector, 'cuda')
    assert slow == ['nms', 'roi_align', 'modulated_deform_conv']
    assert find_slow_operators(DeformConv2dPack(4, 4, 3), 'cuda') == [
        'deform_conv'
    ]
    assert find_slow_operators(nn.Conv2d(4, 4, 3), 'cuda') == []
    assert find_slow_operators(detector, 'cpu') == []
    monkeypatch.setattr(kernels, 'has_kernels', lambda device: True)
    assert find_slow_operators(detector, 'cuda') == []


def test_warning_says_what_to_install(
    detector: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, 'has_kernels', lambda device: False)
    lines = []
    monkeypatch.setattr(
        slow_operators,
        'print_log',
        lambda text, logger, level: lines.append((level, text)),
    )
    warn_of_slow_operators(detector, 'cpu')
    assert not lines
    warn_of_slow_operators(detector, 'cuda')
    ((level, text),) = lines
    assert level == logging.WARNING
    assert 'nms, roi_align' in text
    assert kernels.matching_torchvision() in text


def test_torchvision_that_belongs_to_a_torch() -> None:
    assert kernels.matching_torchvision('2.13.0') == 'torchvision==0.28.*'
    assert kernels.matching_torchvision('2.14.1+cpu') == 'torchvision==0.29.*'
    assert kernels.matching_torchvision('3.0.0') == 'torchvision'
