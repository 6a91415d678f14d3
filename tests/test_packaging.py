"""The metadata of the package, and what its wheel brings along."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lvt_dense

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip('tomli')

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']


def test_no_version_is_capped() -> None:
    extras = PROJECT['optional-dependencies'].values()
    for entry in [*PROJECT['dependencies'], *sum(extras, [])]:
        assert not re.search('[<~]|==', entry), entry


def test_console_script_exists() -> None:
    module, _, name = PROJECT['scripts']['lvt-dense'].partition(':')
    __import__(module)
    assert callable(getattr(sys.modules[module], name))


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network."""
    build_meta = pytest.importorskip('setuptools.build_meta')
    pytest.importorskip('setuptools', minversion='77')
    out = tmp_path_factory.mktemp('wheel')
    source = tmp_path_factory.mktemp('source') / 'lvt_dense'
    _copy_source(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source)
        patch.setattr(sys, 'argv', ['setup.py'])
        return out / build_meta.build_wheel(str(out))


def _copy_source(target: Path) -> None:
    """Copy what the wheel is made of, without the links of a checkout."""
    import shutil

    ignore = shutil.ignore_patterns('__pycache__', '.mim')
    for name in ('lvt_dense', 'configs', 'tools'):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, target)


def test_wheel_brings_configs_scripts_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*.py'):
            inner = path.relative_to(ROOT).as_posix()
            is_for_developers = 'dev' in path.parts
            shipped = f'lvt_dense/.mim/{inner}' in names
            assert shipped != is_for_developers, inner
    assert {'lvt_dense.pth', 'lvt_dense/py.typed'} <= names
    assert 'lvt_dense/runtime/page/index.html' in names
    for path in (ROOT / 'lvt_dense').rglob('*.py'):
        if '.mim' not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    for name in zipfile.ZipFile(wheel).namelist():
        assert re.match(r'lvt_dense(/|\.pth$|-[\d.]+\.dist-info/)', name)


def test_version_is_that_of_the_package(wheel: Path) -> None:
    assert wheel.name.startswith(f'lvt_dense-{lvt_dense.__version__}-py3')


def start(wheel: Path, folder: Path, has_package: bool, **env: str) -> str:
    """Start Python with the wheel's .pth; return what it printed."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extract('lvt_dense.pth', folder)
    if has_package:
        package = folder / 'lvt_dense'
        package.mkdir()
        (package / '__init__.py').write_text('print("started")')
    done = subprocess.run(
        [
            *(sys.executable, '-E', '-S', '-c'),
            f'import site; site.addsitedir({str(folder)!r})',
        ],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        cwd=folder,  # Python looks for the package there first
    )
    assert done.returncode == 0
    return done.stdout + done.stderr


def test_pth_imports_the_package(wheel: Path, tmp_path: Path) -> None:
    assert start(wheel, tmp_path, True) == 'started\n'


@pytest.mark.parametrize(
    ('has_package', 'switch'), [(False, '0'), (True, '1')]
)
def test_pth_is_silent(
    has_package: bool, switch: str, wheel: Path, tmp_path: Path
) -> None:
    """Where the package is gone, and where it is switched off."""
    found = start(wheel, tmp_path, has_package, LVT_DENSE_NO_STARTUP=switch)
    assert found == ''
