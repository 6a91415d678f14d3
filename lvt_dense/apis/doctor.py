"""Check an installation and, if given, a config and its data.

This module imports the standard library only, because what it looks for is
that something else cannot be imported.
"""

from __future__ import annotations

import io
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.install import find_source
from lvt_dense.utils.text import describe_error

if TYPE_CHECKING:
    from mmengine.config import Config

OK, NOTE, FAULT = 'ok', 'note', 'FAULT'
MODULES = ('mmengine', 'mmcv', 'mmdet', 'mmseg')
STACKS = {
    'onedl': (
        'onedl-mmengine',
        'onedl-mmcv',
        'onedl-mmdetection',
        'onedl-mmsegmentation',
    ),
    'openmmlab': ('mmengine', 'mmcv', 'mmdet', 'mmsegmentation'),
}
# Other names under which the module of a distribution is installed.
ALIASES = {'mmcv-lite': 'mmcv'}
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """What the doctor says of one thing.

    Attributes:
        topic: What was looked at.
        status: :data:`OK`, :data:`NOTE` or :data:`FAULT`.
        text: What was found.
        remedy: The command that fixes it.
    """

    topic: str
    status: str
    text: str
    remedy: str = ''


class System:
    """What the doctor asks of the machine."""

    def versions(self) -> dict[str, str]:
        """Return the versions of distributions by lower-case name."""
        found = {}
        for item in metadata.distributions():
            name = item.metadata['Name']
            if name:
                found[name.lower().replace('_', '-')] = item.version
        return found

    def load(self, module: str) -> ModuleType:
        """Import a module, without what it prints."""
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return import_module(module)

    def python(self) -> tuple[int, ...]:
        """Return the version of Python."""
        return sys.version_info[:3]

    def free_disk(self, path: Path) -> int:
        """Return the free bytes of the disk that a folder is on."""
        return shutil.disk_usage(path).free

    def memory(self) -> int | None:
        """Return the bytes of available memory; None if unknown."""
        try:
            lines = Path('/proc/meminfo').read_text().splitlines()
        except OSError:
            return None
        table = dict(line.split(':') for line in lines)
        return int(table['MemAvailable'].split()[0]) * 1024

    def shared_memory(self) -> int | None:
        """Return the size of /dev/shm, where data loaders put images."""
        shm = Path('/dev/shm')
        return shutil.disk_usage(shm).total if shm.is_dir() else None

    def has_gpu_driver(self) -> bool:
        """Whether NVIDIA's driver is there."""
        return shutil.which('nvidia-smi') is not None


def examine(
    load: Callable[[], Config] | None = None, system: System | None = None
) -> Iterator[Finding]:
    """Look at everything.

    Args:
        load: Returns a config that is to be looked at as well.
        system: The machine.

    Yields:
        The findings, one after the other.
    """
    system = system or System()
    for check in CHECKS:
        yield from check(system)
    if load is not None:
        yield from examine_config(load)


def check_python(system: System) -> Iterator[Finding]:
    """Check the version of Python."""
    version = system.python()
    text = '.'.join(map(str, version))
    if version < (3, 10):
        yield Finding(
            'Python',
            FAULT,
            f'{text}; lvt_dense needs 3.10 or newer',
            f'python3.12 -m venv venv && venv/bin/pip install {find_source()}',
        )
    else:
        yield Finding('Python', OK, f'{text} on {platform.system()}')


def check_torch(system: System) -> Iterator[Finding]:
    """Check torch, and that it and numpy understand each other."""
    remedy = "pip install --upgrade 'torch>=2.6'"
    try:
        torch = system.load('torch')
    except Exception as error:
        yield Finding('torch', FAULT, describe_error(error), remedy)
        return
    version = torch.__version__
    if _numbers(version) < (2, 6):
        yield Finding('torch', FAULT, f'{version}; 2.6 is needed', remedy)
        return
    try:
        numpy = system.load('numpy')
        torch.from_numpy(numpy.zeros(1))
    except Exception as error:
        yield Finding(
            'numpy',
            FAULT,
            f'torch {version} and numpy do not fit: {describe_error(error)}',
            'pip install --upgrade torch numpy',
        )
        return
    yield Finding('torch', OK, f'{version}, numpy {numpy.__version__}')


def check_torchvision(system: System) -> Iterator[Finding]:
    """Check that torchvision, which mmdet imports if it is there, loads."""
    if 'torchvision' not in system.versions():
        return
    try:
        system.load('torchvision')
    except Exception as error:
        yield Finding(
            'torchvision',
            FAULT,
            f'does not load, and MMDetection with it: {describe_error(error)}',
            'pip uninstall -y torchvision',
        )


def check_stack(system: System) -> Iterator[Finding]:
    """Check which distributions of the mm packages are installed."""
    versions = system.versions()
    for alias, name in ALIASES.items():
        if alias in versions:
            versions.setdefault(name, versions[alias])
    stack = 'onedl'
    for names in zip(*STACKS.values(), MODULES):
        *owners, module = names
        found = [name for name in owners if name in versions]
        if len(found) > 1:
            # the files of one have been written over those of the other
            keep = owners[0]
            yield Finding(
                module,
                FAULT,
                f'two distributions install it: {" and ".join(found)}',
                f'pip uninstall -y {" ".join(found)} && '
                f'pip install --no-deps {keep}',
            )
        elif found and found[0] in STACKS['openmmlab']:
            stack = 'openmmlab'
    wanted = STACKS[stack]
    missing = [
        name
        for name, other in zip(wanted, STACKS['onedl'])
        if name not in versions and other not in versions
    ]
    if missing:
        yield Finding(
            'stack',
            FAULT,
            f'not installed: {", ".join(missing)}',
            f'pip install {" ".join(missing)}',
        )
    shown = [
        f'{name} {versions[name]}'
        for pair in zip(*STACKS.values())
        for name in pair
        if name in versions
    ]
    if shown:
        yield Finding('stack', OK, ', '.join(shown))


def check_pkg_resources(system: System) -> Iterator[Finding]:
    """Check that setuptools has what the original packages import."""
    versions = system.versions()
    if not any(name in versions for name in ('mmcv', 'mmcv-lite', 'mmdet')):
        return
    try:
        system.load('pkg_resources')
    except Exception:
        found = versions.get('setuptools', 'is missing')
        yield Finding(
            'setuptools',
            FAULT,
            f'{found}, without pkg_resources, which the original mm packages '
            'import',
            "pip install 'setuptools<81'",
        )


def check_opencv(system: System) -> Iterator[Finding]:
    """Check that cv2 loads, and comes from one version."""
    versions = system.versions()
    names = [n for n in versions if n.startswith('opencv-')]
    uninstall = f'pip uninstall -y {" ".join(sorted(names))}'
    try:
        system.load('cv2')
    except Exception as error:
        reason = describe_error(error)
        keep = 'opencv-python'
        if 'libGL' in reason or 'libgthread' in reason:
            keep = 'opencv-python-headless'  # needs no display's libraries
        remedy = f'pip install {keep}'
        if names:
            remedy = f'{uninstall} && {remedy}'
        yield Finding('OpenCV', FAULT, reason, remedy)
        return
    if len({versions[name] for name in names}) > 1:
        both = ', '.join(f'{n} {versions[n]}' for n in sorted(names))
        yield Finding(
            'OpenCV',
            FAULT,
            f'{both}: one has been written over the other',
            f'{uninstall} && pip install opencv-python',
        )
    elif names:
        yield Finding('OpenCV', OK, versions[names[0]])


def check_pycocotools(system: System) -> Iterator[Finding]:
    """Check a package that is compiled against numpy."""
    try:
        system.load('pycocotools.mask')
    except Exception as error:
        remedy = 'pip install pycocotools'
        if not isinstance(error, ModuleNotFoundError):
            options = '--force-reinstall --no-deps --no-cache-dir'
            remedy = f'pip install {options} pycocotools'
        yield Finding('pycocotools', FAULT, describe_error(error), remedy)


def check_operators(system: System) -> Iterator[Finding]:
    """Check which operators MMCV runs with."""
    try:
        has_gpu = system.load('torch').cuda.is_available()
        ops = system.load('lvt_dense.ops')
        forms = ops.operator_forms('cuda' if has_gpu else 'cpu')
    except Exception as error:
        if _is_missing(error):
            return
        yield Finding(
            'operators', FAULT, describe_error(error), 'pip install onedl-mmcv'
        )
        return
    if set(forms.values()) == {'mmcv'}:
        yield Finding('operators', OK, "MMCV's compiled ones")
        return
    broken = _broken_operators(system)
    if broken:
        yield Finding(
            'operators',
            FAULT,
            f"MMCV's compiled ones do not load ({broken}); pure PyTorch "
            'stands in',
            'pip install --force-reinstall --no-deps --no-cache-dir '
            '--no-build-isolation onedl-mmcv',
        )
        return
    kernels = [name for name, form in forms.items() if form == 'torchvision']
    if kernels:
        text = f"{', '.join(kernels)} by torchvision's kernels, others in"
        yield Finding('operators', OK, f'{text} pure PyTorch')
    elif has_gpu:
        wanted = system.load('lvt_dense.ops.kernels').matching_torchvision()
        yield Finding(
            'operators',
            NOTE,
            'in pure PyTorch, on the GPU too, where torchvision has faster '
            'ones for two-stage detectors and deformable convolutions',
            f"pip install '{wanted}'",
        )
    else:
        yield Finding(
            'operators',
            NOTE,
            'in pure PyTorch; `make ops` in a checkout builds the compiled '
            'ones',
        )


def _broken_operators(system: System) -> str:
    """Name the library of compiled operators that is there all the same."""
    folder = getattr(system.load('mmcv'), '__path__', [''])[0]
    return ', '.join(path.name for path in Path(folder).glob('_ext*.so'))


def check_imports(system: System) -> Iterator[Finding]:
    """Check that the mm packages can be imported."""
    remedies = dict(zip(MODULES, STACKS['onedl']))
    for module in MODULES:
        try:
            system.load(module)
        except Exception as error:
            if _is_missing(error):
                return
            reason = describe_error(error)
            remedy = f'pip install --upgrade {remedies[module]}'
            if "No module named 'pkg_resources'" in reason:
                remedy = "pip install 'setuptools<81'"
            elif isinstance(error, ModuleNotFoundError) and error.name:
                top = error.name.split('.')[0]
                if top not in (*MODULES, 'lvt_dense'):
                    remedy = f'pip install {top}'
            yield Finding(f'import {module}', FAULT, reason, remedy)
            return


def check_registry(system: System) -> Iterator[Finding]:
    """Check that MMEngine builds our backbones by name."""
    try:
        models = system.load('mmengine.registry').MODELS
        models.build(dict(type='lvt_dense.MobileViT', arch='xxs'))
    except Exception as error:
        if _is_missing(error):
            return
        yield Finding(
            'registry',
            FAULT,
            describe_error(error),
            f'pip install --force-reinstall --no-deps {find_source()}',
        )
        return
    yield Finding('registry', OK, 'lvt_dense.MobileViT builds')


def check_checkpoints(system: System) -> Iterator[Finding]:
    """Check that this torch reads the checkpoints of this MMEngine."""
    try:
        torch = system.load('torch')
        system.load('lvt_dense.compat.stack').allow_own_checkpoints()
        history = system.load('mmengine.logging').HistoryBuffer()
        history.update(1.0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'checkpoint.pth')
            torch.save(dict(loss=history), path)
            torch.load(path, weights_only=True)
    except Exception as error:
        if _is_missing(error):
            return
        yield Finding(
            'checkpoints',
            FAULT,
            'torch does not read what MMEngine saves: '
            f'{describe_error(error)}',
            'pip install --upgrade onedl-mmengine',
        )


def check_gpu(system: System) -> Iterator[Finding]:
    """Check that torch uses a GPU that is there."""
    try:
        cuda = system.load('torch').cuda
        count = cuda.device_count() if cuda.is_available() else 0
    except Exception:
        return  # check_torch has said so
    if count:
        names = ', '.join(cuda.get_device_name(i) for i in range(count))
        yield Finding('GPU', OK, names)
    elif system.has_gpu_driver():
        yield Finding(
            'GPU',
            FAULT,
            'there is one, but this torch does not use it (a CPU build, or a '
            'driver that is too old for its CUDA)',
            'pip install --force-reinstall torch --index-url '
            'https://download.pytorch.org/whl/cu126',
        )
    else:
        yield Finding('GPU', NOTE, 'none; training runs on the CPU')


def check_space(system: System) -> Iterator[Finding]:
    """Check disk, memory, and the memory that data loaders share."""
    free = system.free_disk(Path.cwd())
    text = f'{free / GIB:.1f} GiB free here'
    if free < GIB:
        yield Finding(
            'disk', FAULT, text, 'lvt-dense train CONFIG --work-dir ELSEWHERE'
        )
    else:
        yield Finding('disk', OK if free > 5 * GIB else NOTE, text)
    memory = system.memory()
    if memory is not None:
        text = f'{memory / GIB:.1f} GiB available'
        if memory < 1.5 * GIB:
            yield Finding(
                'memory',
                FAULT,
                text,
                'lvt-dense train CONFIG --workers 0 --batch-size 2',
            )
        else:
            yield Finding('memory', OK, text)
    shared = system.shared_memory()
    if shared is not None and shared < 0.5 * GIB:
        yield Finding(
            'shared memory',
            FAULT,
            f'/dev/shm has {shared / 2**20:.0f} MiB, on which data loaders '
            'fail with a bus error',
            'docker run --shm-size=8g ..., or lvt-dense train CONFIG '
            '--workers 0',
        )


def check_cache(system: System) -> Iterator[Finding]:
    """Count the official weights in the cache."""
    try:
        weights = system.load('lvt_dense.apis.weights')
        cache = system.load('lvt_dense.checkpoints.cache')
        entries = weights.published_files().values()
        count = sum(cache.path_of(e.file).is_file() for e in entries)
    except Exception as error:
        if _is_missing(error):
            return
        yield Finding(
            'weights',
            FAULT,
            describe_error(error),
            f'pip install --force-reinstall --no-deps {find_source()}',
        )
        return
    text = (
        f'{count} of {len(entries)} published files in {cache.weights_dir()}'
    )
    yield Finding('weights', NOTE if not count else OK, text)


CHECKS = (
    check_python,
    check_torch,
    check_torchvision,
    check_stack,
    check_pkg_resources,
    check_opencv,
    check_pycocotools,
    check_operators,
    check_imports,
    check_registry,
    check_checkpoints,
    check_gpu,
    check_space,
    check_cache,
)


def examine_config(load: Callable[[], Config]) -> Iterator[Finding]:
    """Look at a config, its data, and the weights it starts from."""
    try:
        cfg = load()
    except UserError as error:
        yield Finding(
            'config',
            FAULT,
            str(error),
            'ls "$(python -c \'import lvt_dense, os; '
            'print(os.path.dirname(lvt_dense.__file__))\')"/.mim/configs',
        )
        return
    yield Finding('config', OK, str(cfg.filename))
    yield from _examine_data(cfg)
    yield from _examine_weights(cfg)


def _examine_data(cfg: Config) -> Iterator[Finding]:
    from lvt_dense.engine.data_checks import check_data

    splits = [s for s in ('train', 'val', 'test') if f'{s}_dataloader' in cfg]
    for split in splits:
        if cfg[f'{split}_dataloader'] is None:
            continue
        try:
            check_data(cfg, [split])
        except UserError as error:
            name = cfg.filename or 'CONFIG'
            yield Finding(
                f'{split} data',
                FAULT,
                str(error),
                f'lvt-dense doctor {name} --data-root FOLDER',
            )
        else:
            yield Finding(f'{split} data', OK, 'complete, by its names')


def _examine_weights(cfg: Config) -> Iterator[Finding]:
    from lvt_dense.checkpoints.cache import path_of
    from lvt_dense.engine import official_weights as weights

    try:
        for part in weights.backbones_of(cfg):
            record = weights.published_start(part)
            if record is None:
                continue
            path = path_of(record)
            if path.is_file():
                yield Finding('start', OK, f'{path} is in the cache')
            else:
                yield Finding(
                    'start',
                    NOTE,
                    f'{record.name} is not in the cache; training downloads '
                    'it first',
                    f'lvt-dense weights fetch {record.name}',
                )
    except UserError as error:
        yield Finding(
            'start',
            FAULT,
            str(error),
            f'lvt-dense train {cfg.filename} --pretrained none',
        )


def print_findings(findings: Iterator[Finding]) -> int:
    """Print findings as they come.

    Returns:
        Exit status: 1 if there is a fault, else 0.
    """
    faults = 0
    for finding in findings:
        print(f'{finding.status:6} {finding.topic:14} {finding.text}')
        if finding.remedy:
            print(f'{"":6} {"":14} run: {finding.remedy}')
        faults += finding.status == FAULT
        sys.stdout.flush()
    print()
    word = 'fault' if faults == 1 else 'faults'
    print(f'{faults} {word}' if faults else 'No fault found.')
    return int(faults > 0)


def _is_missing(error: Exception) -> bool:
    """Whether a package is missing that a check of its own reports."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return False
    return error.name in (*MODULES, 'torch', 'numpy', 'cv2')


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, such as (2, 13, 0)."""
    parts: list[Any] = version.split('+')[0].split('.')
    return tuple(int(part) for part in parts[:2] if part.isdigit())
