"""Run the command line, or a script of ``tools/``, in this process."""

import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from lvt_dense.commands.main import main

TOOLS = Path(__file__).parents[2] / 'tools'


def run_command(name: str, *args: Any) -> int:
    """Run ``lvt-dense NAME ARGS``; return its exit status."""
    _forget_runs()
    try:
        main(name, [str(arg) for arg in args])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def run_tool(name: str, *args: Any) -> int:
    """Run ``tools/<name>.py`` with arguments; return its exit status."""
    _forget_runs()
    path = str(TOOLS / f'{name}.py')
    with mock.patch.object(sys, 'argv', [path, *map(str, args)]):
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as stop:
            return stop.code or 0
    return 0


def _forget_runs() -> None:
    # Runs that start in the same second share a name, by which MMEngine would
    # hand the second one the first one's log file.
    for kept in (DefaultScope, MessageHub, MMLogger, Visualizer):
        kept._instance_dict.clear()
