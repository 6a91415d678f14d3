"""Which form of an operator is used, without a GPU."""

import sys
from types import ModuleType

import pytest
import torch

from lvt_dense.ops import kernels, operator_forms
from lvt_dense.ops.stand_in import OPERATORS, using_compiled

FOUR = ('nms', 'roi_align', 'deform_conv', 'modulated_deform_conv')


@pytest.fixture(params=[True, False])
def loads(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Pretend that torchvision loads, or not."""
    monkeypatch.setattr(kernels, 'has_kernels', lambda device: request.param)
    return request.param


def test_kernels_are_used_on_a_gpu(loads: bool) -> None:
    for name in FOUR:
        assert kernels.uses_torchvision(name, 'cuda') is loads
        assert not kernels.uses_torchvision(name, 'cpu')
    assert not kernels.uses_torchvision('roi_pool', 'cuda')
    assert not kernels.uses_torchvision('softnms', 'cuda')


def test_deterministic_training_keeps_the_pure_forms(loads: bool) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        used = [n for n in FOUR if kernels.uses_torchvision(n, 'cuda')]
    finally:
        torch.use_deterministic_algorithms(False)
    assert used == (['nms'] if loads else [])


@pytest.mark.skipif(using_compiled(), reason='MMCV has compiled operators')
def test_forms_of_all_operators(loads: bool) -> None:
    on_cpu, on_gpu = operator_forms('cpu'), operator_forms('cuda')
    assert on_cpu.keys() == on_gpu.keys()
    assert set(on_cpu.values()) == {'pytorch'}
    kernel = {k for k, v in on_gpu.items() if v == 'torchvision'}
    assert kernel == (set(FOUR) if loads else set())
    for name in OPERATORS:
        assert any(name.startswith(form) for form in on_cpu) or (
            OPERATORS[name] == 'info'
        )


def test_all_is_mmcvs_where_it_is_compiled(
    loads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'mmcv._ext', ModuleType('mmcv._ext'))
    assert using_compiled()
    assert set(operator_forms('cuda').values()) == {'mmcv'}


@pytest.mark.parametrize(
    'error', [ImportError('no'), OSError('libcudart'), RuntimeError('nms')]
)
def test_torchvision_that_does_not_load(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def find_spec(self, name: str, *args: object) -> None:
            if name == 'torchvision':
                raise error

    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    kernels.torchvision_loads.cache_clear()
    assert not kernels.torchvision_loads()
    kernels.torchvision_loads.cache_clear()
