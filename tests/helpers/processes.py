"""Run Python in a process of its own."""

import subprocess
import sys


def run_python(
    *lines: str, options: tuple[str, ...] = ('-W', 'ignore')
) -> subprocess.CompletedProcess[str]:
    """Run lines of Python.

    Args:
        lines: Lines of the program.
        options: Options of the interpreter.

    Returns:
        The finished process, with its output as text.
    """
    return subprocess.run(
        [sys.executable, *options, '-c', '\n'.join(lines)],
        capture_output=True,
        text=True,
    )
