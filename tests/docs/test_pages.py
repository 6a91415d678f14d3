"""Every command and every snippet of README and docs runs."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.optional import is_importable
from helpers.pages import read_blocks
from helpers.warm import write_clients

from lvt_dense.scenes import write_coco, write_kitti, write_semantic

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])
TESTS = ROOT / 'tests'
FOLDERS = dict(
    ade20k='ade/ADEChallengeData2016',
    cityscapes='cityscapes',
    voc='VOCdevkit/VOC2012',
    camvid='camvid',
)


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered data sets, where the configs look for them."""
    root = tmp_path_factory.mktemp('pages') / 'data'
    options = dict(seed=3, val_fraction=0.25)
    write_coco(root / 'coco', 8, size=(160, 120), **options)
    write_kitti(root / 'kitti', 8, size=(310, 94), **options)
    for layout, folder in FOLDERS.items():
        write_semantic(root / folder, layout, 4, size=(128, 96), **options)
    return root


@pytest.fixture(scope='session')
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which the programs are the warm process."""
    folder = tmp_path_factory.mktemp('warm')
    write_clients(folder / 'bin')
    environment = dict(
        os.environ,
        LVT_DENSE_WARM=str(folder / 'socket'),
        LVT_DENSE_PRETRAINED='none',
        XDG_CACHE_HOME=str(folder / 'cache'),
        PATH=f'{folder / "bin"}{os.pathsep}{os.environ["PATH"]}',
        PYTHONPATH=os.pathsep.join(
            [str(TESTS), str(ROOT), os.environ.get('PYTHONPATH', '')]
        ),
    )
    server = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-m', 'helpers.warm',
         environment['LVT_DENSE_WARM']],
        env=environment, cwd=folder, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stdout.readline() == 'ready\n'
    yield environment
    os.killpg(server.pid, signal.SIGKILL)  # and what is left of a page
    server.wait()


@pytest.fixture
def checkout(data: Path, tmp_path: Path) -> Path:
    """A folder like a checkout, with rendered data in it."""
    for name in ('configs', 'tools', 'projects'):
        ignore = shutil.ignore_patterns('__pycache__', 'work_dirs')
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copytree(data, tmp_path / 'data')
    image = next((data / 'coco' / 'val2017').iterdir())
    shutil.copy(image, tmp_path / 'street.jpg')
    return tmp_path


# What a reader tries first; the other pages run before a release.
FIRST = ('README.md',)


@pytest.mark.parametrize(
    'page',
    [
        pytest.param(
            page,
            id=str(page.relative_to(ROOT)),
            marks=[] if page.name in FIRST else [pytest.mark.release],
        )
        for page in PAGES
    ],
)
def test_page_runs(
    page: Path, request: pytest.FixtureRequest, warm: dict[str, str]
) -> None:
    for package in re.findall(r'<!-- run: needs (\w+) -->', page.read_text()):
        if not is_importable(package):
            pytest.skip(f'{package} cannot be imported')
    checkout = request.getfixturevalue('checkout')
    done = subprocess.run(
        ['page', page],
        cwd=checkout,
        env=warm,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    lines = [x for x in done.stdout.splitlines() if ' - INFO - ' not in x]
    assert done.returncode == 0, '\n'.join(lines)[-6000:]


def test_pages_have_blocks() -> None:
    assert sum(len(read_blocks(page)) for page in PAGES) > 3
