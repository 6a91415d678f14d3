"""Tests that need a package which may not be importable."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module

import pytest


@cache
def is_importable(name: str) -> bool:
    """Whether a package can be imported here."""
    try:
        import_module(name)
    except Exception:  # compiled packages raise errors of all kinds
        return False
    return True


def need_packages(names: Iterable[str]) -> list:
    """Sort names of recipes, and mark those that need timm."""
    skip = pytest.mark.skipif(
        not is_importable('timm'), reason='timm cannot be imported'
    )
    return [
        pytest.param(name, marks=skip) if '_timm_' in name else name
        for name in sorted(names)
    ]
