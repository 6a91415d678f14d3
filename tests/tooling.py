"""Run a script of ``tools/`` in this process."""

import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

TOOLS = Path(__file__).parents[1] / 'tools'


def run_tool(name: str, *args: Any) -> int:
    """Run ``tools/<name>.py`` with arguments; its exit status comes back."""
    path = str(TOOLS / f'{name}.py')
    with mock.patch.object(sys, 'argv', [path, *map(str, args)]):
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as stop:
            return stop.code or 0
    return 0
