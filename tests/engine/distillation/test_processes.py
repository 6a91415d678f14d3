"""Gradients of two processes: of the student, and of its projections."""

from pathlib import Path

import pytest
import torch
from helpers.distillation import (
    RETINANET,
    RTMDET,
    build,
    detection_batch,
    teacher_of,
)
from helpers.processes import free_port, join_processes
from mmengine.model.utils import revert_sync_batchnorm
from torch.multiprocessing import spawn
from torch.nn.parallel import DistributedDataParallel

from lvt_dense.engine.distillation.distiller import attach

pytestmark = pytest.mark.release


def step(rank: int, folder: Path, port: int) -> None:
    """Take one backward pass on images of this process alone."""
    join_processes(rank, 2, port)
    student = build(RTMDET)
    attach(student, teacher_of(build(RETINANET, seed=1)), {})
    student.train()
    model = DistributedDataParallel(revert_sync_batchnorm(student))
    torch.manual_seed(rank)
    images, samples = detection_batch(64)
    losses = model(images, samples, mode='loss')
    parts = [x for v in losses.values()
             for x in (v if isinstance(v, list) else [v])]  # fmt: skip
    torch.stack(parts).sum().backward()
    grads = {n: p.grad for n, p in student.named_parameters()}
    torch.save((images, grads), folder / f'{rank}.pt')


def test_gradients_are_shared(tmp_path: Path) -> None:
    spawn(step, (tmp_path, free_port()), nprocs=2)
    (images, one), (others, two) = (
        torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)
    )
    assert not torch.equal(images, others)
    projections = [name for name in one if 'projections' in name]
    assert len(projections) == 6
    assert all(one[name].abs().sum() > 0 for name in projections)
    for name, grad in one.items():
        assert torch.equal(grad, two[name]), name
