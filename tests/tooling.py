"""Run a script of ``tools/`` in this process."""

import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

TOOLS = Path(__file__).parents[1] / 'tools'


def run_tool(name: str, *args: Any) -> int:
    """Run ``tools/<name>.py`` with arguments; its exit status comes back."""
    # Runs that start in the same second share a name, by which MMEngine would
    # hand the second one the first one's log file.
    for kept in (DefaultScope, MessageHub, MMLogger, Visualizer):
        kept._instance_dict.clear()
    path = str(TOOLS / f'{name}.py')
    with mock.patch.object(sys, 'argv', [path, *map(str, args)]):
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as stop:
            return stop.code or 0
    return 0
