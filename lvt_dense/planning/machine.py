"""Describe this machine, and time training steps on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from lvt_dense.apis import benchmark_training

STEPS = 3
MOST_WORKERS = 8


@dataclass(frozen=True)
class Machine:
    """What a plan knows of a machine.

    Attributes:
        device: ``cpu`` or ``cuda``.
        cores: Cores that this process may use.
        gpus: Processes that train together.
        name: What it is called in a plan.
    """

    device: str
    cores: int
    gpus: int = 1
    name: str = ''

    @property
    def kind(self) -> str:
        """``cpu`` or ``gpu``."""
        return 'cpu' if self.device == 'cpu' else 'gpu'

    @property
    def workers(self) -> int:
        """Processes that load data for each that trains.

        On a CPU they take their share of the cores from the training.
        """
        free = self.cores // self.gpus - 1
        most = MOST_WORKERS if self.kind == 'gpu' else 2
        return max(1, min(most, free))


def find_machine(gpus: int = 1) -> Machine:
    """Describe this machine.

    Args:
        gpus: Processes that train together.
    """
    device = get_device()
    cores = _count_cores()
    if device == 'cuda':
        name = torch.cuda.get_device_name()
        name = f'{gpus} x {name}' if gpus > 1 else name
    else:
        threads = torch.get_num_threads()
        name = f'{device}, {threads} thread{"s" if threads > 1 else ""}'
    return Machine(device, cores, gpus, name)


def _count_cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def time_step(cfg: Config, most: float, **options: Any) -> float:
    """Time the training step of a config, data loading included.

    Args:
        cfg: Config whose data are there; it is changed.
        most: Seconds after which no other step begins.
        **options: ``amp``, ``compile`` and ``workers``, as in training.

    Returns:
        Seconds of a step.
    """
    with _keep_current_run():
        return benchmark_training.time_step(cfg, STEPS, most, **options)


@contextmanager
def _keep_current_run() -> Iterator[None]:
    """Keep the current run of MMEngine during a measurement.

    MMEngine would log to the newest run, which is the measurement.
    """
    kinds: tuple[Any, ...] = (MMLogger, MessageHub, DefaultScope, Visualizer)
    before = [dict(kind._instance_dict) for kind in kinds]
    try:
        yield
    finally:
        for kind, known in zip(kinds, before):
            kind._instance_dict.clear()
            kind._instance_dict.update(known)


@contextmanager
def silence_log() -> Iterator[None]:
    """Silence the log, because the training logs the same lines again."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        yield
    finally:
        logger.setLevel(level)
