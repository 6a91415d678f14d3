"""Run the command line or a script, ours or others', in this process."""

import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from lvt_dense.commands.main import main

TOOLS = Path(__file__).parents[2] / 'tools'


def run_command(name: str, *args: Any) -> int:
    """Run ``lvt-dense NAME ARGS``; return its exit status."""
    forget_runs()
    try:
        main(name, [str(arg) for arg in args])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def run_tool(name: str, *args: Any) -> int:
    """Run ``tools/<name>.py`` with arguments; return its exit status."""
    return run_script(TOOLS / f'{name}.py', *args)


def run_script(path: Path, *args: Any) -> int:
    """Run a script with arguments; return its exit status."""
    forget_runs()
    with mock.patch.object(sys, 'argv', [str(path), *map(str, args)]):
        try:
            runpy.run_path(str(path), run_name='__main__')
        except SystemExit as stop:
            return stop.code or 0
    return 0


def skip_beautifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dump configs as they are: yapf takes longer than the training here."""
    monkeypatch.setattr(
        'yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)
    )


def forget_runs() -> None:
    # Runs that start in the same second share a name, by which MMEngine would
    # hand the second one the first one's log file.
    for kept in (DefaultScope, MessageHub, MMLogger, *_family(Visualizer)):
        kept._instance_dict.clear()


def _family(kind: type) -> list[type]:
    """A class and all that derive from it, as each keeps its instances."""
    derived = kind.__subclasses__()
    return [kind, *(each for child in derived for each in _family(child))]
