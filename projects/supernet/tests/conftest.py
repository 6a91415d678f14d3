"""Small supernets."""

from collections.abc import Iterator

import pytest
import torch
from mmengine.registry import DefaultScope
from supernet import catalog  # noqa: F401  (registers)
from supernet.model import Supernet
from supernet.tests.small import SEGMENTER, SPACE

from lvt_dense.compat.stack import import_stack


@pytest.fixture(scope='session', autouse=True)
def stack() -> None:
    import_stack()


@pytest.fixture()
def mmseg_scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture()
def segmenter(mmseg_scope: None) -> Supernet:
    torch.manual_seed(0)
    return Supernet(SEGMENTER, SPACE)
