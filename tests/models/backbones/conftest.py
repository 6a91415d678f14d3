"""Every variant, and the smallest of every family."""

from collections.abc import Callable

import pytest
import torch
from helpers.backbones import spread

from lvt_dense import build_backbone
from lvt_dense.models.backbones import PyramidBackbone, families


def by_size(family: str) -> list[str]:
    """Names of the variants of a family, the smallest first."""
    cls = families()[family]

    def size(arch: str) -> int:
        with torch.device('meta'):
            return sum(p.numel() for p in cls(arch).parameters())

    return [f'{family}_{arch}' for arch in sorted(cls.arch_settings, key=size)]


# Of the larger ones only a release needs the numbers.
VARIANTS = [
    pytest.param(name, marks=[pytest.mark.release] if rank > 1 else [])
    for family in families()
    for rank, name in enumerate(by_size(family))
]


@pytest.fixture(scope='module', params=VARIANTS)
def backbone(request: pytest.FixtureRequest) -> PyramidBackbone:
    """Every variant, in eval mode; tests leave it as they found it."""
    return spread(build_backbone(request.param)).eval()


@pytest.fixture(scope='module', params=list(families()))
def smallest(request: pytest.FixtureRequest) -> Callable:
    """Constructor of the smallest variant of every family."""
    arch = by_size(request.param)[0].removeprefix(f'{request.param}_')
    cls = families()[request.param]
    return lambda **kwargs: spread(cls(arch, **kwargs))


@pytest.fixture(scope='module')
def small(smallest: Callable) -> PyramidBackbone:
    """The smallest variant, in eval mode; tests leave it as they found it."""
    return smallest().eval()
