"""Commands of the docs that a test checks without carrying them out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

from lvt_dense.utils.text import suggest_or_list

ROOT = Path(__file__).parents[2]


def pip(args: list[str]) -> int:
    """Check the requirements of ``pip install``."""
    if args[:1] != ['install']:
        return _refuse(f'pip {" ".join(args)}')
    skip = False
    for arg in args[1:]:
        if skip or arg.startswith('-'):
            skip = arg in ('-r', '--index-url', '--extra-index-url')
            continue
        name = 'lvt_dense' + arg[1:] if arg.startswith('.') else arg
        requirement = Requirement(name)
        if requirement.name.replace('-', '_') == 'lvt_dense':
            known = _extras()
            for extra in requirement.extras - known:
                print(f'no extra {extra}; {suggest_or_list(extra, known)}')
                return 1
    return 0


def make(args: list[str]) -> int:
    """Check that the targets of ``make`` exist."""
    _, _, path = os.environ['PATH'].partition(os.pathsep)  # without ourselves
    done = subprocess.run(
        [shutil.which('make', path=path), '-n', '-C', str(ROOT), *args],
        stdout=subprocess.DEVNULL,
        env=dict(os.environ, PATH=path),
    )
    return done.returncode


def git(args: list[str]) -> int:
    """Take ``git clone``: the working folder is a checkout already."""
    return 0 if args[:1] == ['clone'] else _refuse(f'git {" ".join(args)}')


def _refuse(command: str) -> int:
    print(f'helpers/pretend.py does not know "{command}"', file=sys.stderr)
    return 127


def _extras() -> set[str]:
    text = (ROOT / 'pyproject.toml').read_text()
    table = text.split('[project.optional-dependencies]')[1].split('\n[')[0]
    return {
        line.split('=')[0].strip()
        for line in table.splitlines()
        if '=' in line
    }
