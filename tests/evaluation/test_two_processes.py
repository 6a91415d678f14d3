"""Metrics count every image once, also where two processes do not divide."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.processes import free_port, join_processes
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.structures import InstanceData
from mmseg.evaluation import IoUMetric
from torch.multiprocessing import spawn
from torch.utils.data import DataLoader

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.evaluation.coco_metric import CocoMetric
from lvt_dense.evaluation.kitti.metric import KittiMetric

pytestmark = pytest.mark.release

IMAGES = 5
CLASSES = ('a', 'b', 'c')


def segment(index: int) -> dict:
    """Random labels, true and predicted, of an image."""
    draw = torch.Generator().manual_seed(index)
    maps = torch.randint(0, 3, (2, 1, 6, 7), generator=draw)
    return dict(pred_sem_seg=dict(data=maps[0]), gt_sem_seg=dict(data=maps[1]))


def detect(index: int) -> dict:
    """One detection of an image, and one true box."""
    box = torch.tensor([[2.0, 2.0, 20.0 + index, 20.0]])
    found = dict(
        bboxes=box, scores=torch.tensor([0.5]), labels=torch.tensor([1])
    )
    truth = dict(bbox=box[0].tolist(), bbox_label=1, ignore_flag=0)
    return dict(
        img_id=index,
        ori_shape=(32, 32),
        pred_instances=found,
        instances=[truth],
    )


def drive(index: int) -> dict:
    """A frame of KITTI with nothing in it."""
    found = InstanceData(
        bboxes=torch.zeros(0, 4),
        bboxes_3d=torch.zeros(0, 7),
        scores_3d=torch.zeros(0),
        labels_3d=torch.zeros(0, dtype=torch.long),
        alphas=torch.zeros(0),
    )
    return dict(
        sample_idx=f'{index:06}',
        ori_shape=(32, 64),
        pred_instances_3d=found,
        eval_labels=KittiObjects.from_rows([], []),
    )


METRICS = dict(
    miou=(IoUMetric, {}, segment),
    coco=(CocoMetric, dict(metric='bbox'), detect),
    kitti=(KittiMetric, {}, drive),
)


def evaluate(name: str, batch_size: int) -> dict[str, float]:
    """Evaluate this process's share; the first process has the metrics."""
    kind, options, make = METRICS[name]
    metric: BaseMetric = kind(**options)
    compute = metric.compute_metrics

    def count(results: list) -> dict:
        return dict(compute(results), count=len(results))

    metric.compute_metrics = count
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dict(classes=CLASSES, palette=None)
    indices = list(range(IMAGES))
    loader = DataLoader(
        indices,
        batch_size,
        sampler=DefaultSampler(indices, shuffle=False),
        collate_fn=pseudo_collate,
    )
    for batch in loader:
        samples = [make(int(index)) for index in batch]
        metric.process({}, samples)
    return {k: float(v) for k, v in evaluator.evaluate(IMAGES).items()}


def run_process(rank: int, folder: str, port: int) -> None:
    """Evaluate in one of two processes."""
    join_processes(rank, 2, port)
    found = {
        (name, size): evaluate(name, size)
        for name in METRICS
        for size in (1, 2)
    }
    if rank == 0:
        torch.save(found, Path(folder, 'found.pt'))


@pytest.fixture(scope='module')
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """What two processes find."""
    folder = tmp_path_factory.mktemp('two')
    spawn(run_process, (str(folder), free_port()), nprocs=2)
    yield torch.load(folder / 'found.pt')


@pytest.mark.parametrize('batch_size', [1, 2])
@pytest.mark.parametrize('name', METRICS)
def test_two_processes_find_what_one_finds(
    found: dict, name: str, batch_size: int
) -> None:
    here = evaluate(name, batch_size)
    together = found[name, batch_size]
    count = next(k for k in here if k.endswith('count'))
    assert here[count] == together[count] == IMAGES
    assert together == pytest.approx(here, nan_ok=True)
