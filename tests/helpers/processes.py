"""Run Python in a process of its own."""

import os
import socket
import subprocess
import sys

import torch

from lvt_dense.engine.runner import join_by_gloo


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


def free_port() -> int:
    """Find a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def set_rank(rank: int, count: int, port: int) -> None:
    """Set the variables by which MMEngine's launcher finds the processes.

    Args:
        rank: Number of this process.
        count: Number of all.
        port: A free port of this machine.
    """
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )


def join_processes(rank: int, count: int, port: int) -> None:
    """Become one of several processes that know each other by gloo.

    Args:
        rank: Number of this process.
        count: Number of all.
        port: A free port of this machine.
    """
    set_rank(rank, count, port)
    torch.set_num_threads(1)
    join_by_gloo()
