"""Images with more objects than models and metrics count by default."""

from pathlib import Path

import pytest
import torch
from helpers.commands import run_command
from helpers.own_data import CLASSES, Shot, write_coco
from helpers.own_data_commands import DETECTOR, INSTANCES, read
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS

from lvt_dense.config import load_config
from lvt_dense.datasets.coco_check import load_index
from lvt_dense.datasets.own.crowding import (
    ObjectCounts,
    box_limits,
    raise_limits,
)

COUNT = 130
RETINANET = 'lvt_dense::retinanet_emo_coco.py'


@pytest.fixture(scope='module')
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of 130 objects of a class, and 7 of another."""
    boxes = [
        (0, (10 * (i % 13), 10 * (i // 13), 8, 8)) for i in range(COUNT)
    ] + [(1, (10 * i, 110, 8, 8)) for i in range(7)]
    shots = {
        split: [Shot(f'{split}_0', (140, 128), boxes)]
        for split in ('train', 'val')
    }
    return write_coco(tmp_path_factory.mktemp('crowd') / 'data', shots)


def map_of_truth(cfg: Config) -> float:
    """The metric of predictions that are the ground truth."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    sample = dataset[0]['data_samples']
    found = sample.gt_instances.clone()
    found.bboxes = found.bboxes.tensor
    found.scores = torch.linspace(0.9, 0.5, len(found))
    sample.pred_instances = found
    evaluator.process([sample])
    return evaluator.evaluate(1)['coco/bbox_mAP']


def test_limits_follow_the_data(
    crowded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = read(RETINANET, crowded)
    assert cfg.model.test_cfg.max_per_img == 200
    assert cfg.val_evaluator.proposal_nums == (1, 10, 200)
    assert map_of_truth(cfg) == pytest.approx(1, abs=1e-6)
    said = ' '.join(capsys.readouterr().out.split())
    assert f'up to {COUNT + 7} objects, and up to {COUNT} of one class' in said
    assert 'model.test_cfg.max_per_img=200' in said
    # Prepared by the first run; others find the numbers again.
    again = read(INSTANCES, crowded)
    assert again.model.test_cfg.rcnn.max_per_img == 200
    once_more = read(RETINANET, crowded, command='train')
    assert once_more.model.test_cfg.max_per_img == 200


def test_larger_limits_and_few_objects_stay(crowded: Path) -> None:
    cfg = read(DETECTOR, crowded, '--classes', CLASSES[1])
    assert cfg.model.test_cfg.max_per_img == 16000
    assert 'proposal_nums' not in cfg.val_evaluator


def test_own_config_is_warned_before_the_training(
    crowded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = f'metainfo.classes={CLASSES!r}'.replace("'", '"').replace(' ', '')
    options = [
        'model.bbox_head.num_classes=3',
        *(
            f'{split}_dataloader.dataset.{option}'
            for split in ('train', 'val')
            for option in (
                f'data_root={crowded}',
                f'ann_file=annotations/instances_{split}.json',
                f'data_prefix.img={split}/',
                names,
            )
        ),
        f'val_evaluator.ann_file={crowded}/annotations/instances_val.json',
        'train_cfg.max_epochs=0',
        'model.backbone.arch=none',  # ends it after the checks
    ]
    args = (RETINANET, '--work-dir', tmp_path, '--cfg-options', *options)
    assert run_command('train', *args) != 0
    said = ' '.join(capsys.readouterr().out.split())
    assert 'more than model.test_cfg.max_per_img=100' in said
    assert 'val_evaluator.proposal_nums=(1, 10, 100) allow' in said


def test_metric_of_mmdetection_and_names_of_recalls() -> None:
    cfg = load_config(RETINANET)
    cfg.val_evaluator = dict(type='mmdet.CocoMetric', metric='bbox')
    cfg.test_evaluator.update(backend='faster-coco-eval')
    cfg.test_evaluator.metric_items = ['mAP', 'AR_s@100']
    cfg.default_hooks.checkpoint.save_best = 'coco/bbox_AR@100'
    raise_limits(cfg, ObjectCounts(120, 101))
    assert cfg.val_evaluator.type == 'lvt_dense.CocoMetric'
    assert cfg.val_evaluator.proposal_nums == (100, 300, 1000)
    assert cfg.test_evaluator.proposal_nums == (1, 100, 200)
    assert cfg.test_evaluator.metric_items == ['mAP', 'AR_s@200']
    assert cfg.default_hooks.checkpoint.save_best == 'coco/bbox_AR@200'
    before = cfg.pretty_text
    assert raise_limits(cfg, ObjectCounts(120, 101)) == []
    assert cfg.pretty_text == before


def test_queries_are_named_alone() -> None:
    cfg = Config(dict(model=dict(num_queries=100)))
    assert (
        'finds no more than num_queries=100: '
        in raise_limits(cfg, ObjectCounts(150))[0]
    )
    assert cfg.model.num_queries == 100
    assert list(box_limits(cfg)) == []


def test_counts_of_a_file(crowded: Path) -> None:
    index = load_index(crowded / 'annotations' / 'instances_val.json')
    assert ObjectCounts.from_index(index, None) == ObjectCounts(
        COUNT + 7, COUNT
    )
    assert ObjectCounts.from_index(index, [CLASSES[1]]) == ObjectCounts(7, 7)
    assert ObjectCounts.from_index(index, []) == ObjectCounts()
