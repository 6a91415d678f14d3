"""Shared fixtures: threads, and where the optional real data lie."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
import torch

from lvt_dense.ops import using_compiled

ROOT = Path(__file__).resolve().parent.parent
NEEDS_OPS = 'compiled_ops'
SHARED = ROOT.parent / 'shared'


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--gpu', action='store_true', help='let tests see GPUs')


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait
    # MMEngine would train on a GPU, whose figures are others.
    if not config.getoption('--gpu'):
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    # Configs ask for official weights, which tests must not download.
    os.environ['LVT_DENSE_PRETRAINED'] = 'none'
    # What is cached of small data sets must not stay in the user's cache, but
    # Matplotlib's list of fonts takes seconds to build.
    os.environ.setdefault('MPLCONFIGDIR', matplotlib.get_cachedir())
    folder = tempfile.TemporaryDirectory(prefix='lvt_dense_')
    config.add_cleanup(folder.cleanup)
    os.environ['XDG_CACHE_HOME'] = folder.name


def pytest_ignore_collect(
    collection_path: Path, config: pytest.Config
) -> bool | None:
    is_for_gpus = collection_path.name == 'test_cuda.py'
    return True if is_for_gpus and not config.getoption('--gpu') else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker(NEEDS_OPS)]
    if marked and not using_compiled():
        reason = 'mmcv has no compiled operators here; `make ops` builds them'
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Spare the collector what is there to the end: a sixth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """Give the next test the environment variables that this one found."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f'{folder} is not there')
    return folder


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder with coco/, camvid/ and kitti/, or skip."""
    return _existing(
        Path(os.environ.get('LVT_DENSE_DATA', SHARED / 'datasets'))
    )


@pytest.fixture(scope='session')
def reference_dir() -> Path:
    """Folder with the figures of the official evaluators, or skip."""
    default = SHARED / 'reference'
    return _existing(Path(os.environ.get('LVT_DENSE_REFERENCE', default)))
