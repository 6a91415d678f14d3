"""Every variant, and the smallest of every family."""

from collections.abc import Callable

import pytest
from helpers.backbones import spread

from lvt_dense import build_backbone, list_backbones
from lvt_dense.models.backbones import PyramidBackbone, families


@pytest.fixture(scope='module', params=list_backbones())
def backbone(request: pytest.FixtureRequest) -> PyramidBackbone:
    """Every variant, in eval mode; tests leave it as they found it."""
    return spread(build_backbone(request.param)).eval()


@pytest.fixture(scope='module', params=list(families()))
def smallest(request: pytest.FixtureRequest) -> Callable:
    """Constructor of the smallest variant of every family."""
    cls = families()[request.param]

    def size(arch: str) -> int:
        return sum(p.numel() for p in cls(arch).parameters())

    arch = min(cls.arch_settings, key=size)
    return lambda **kwargs: spread(cls(arch, **kwargs))


@pytest.fixture(scope='module')
def small(smallest: Callable) -> PyramidBackbone:
    """The smallest variant, in eval mode; tests leave it as they found it."""
    return smallest().eval()
