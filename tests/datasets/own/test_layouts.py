"""The same data in every layout is the same training."""

from pathlib import Path

import pytest
import torch
from helpers.own_data import CLASSES, DETECTION, make_shots, write_coco
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, MODELS, init_default_scope

from lvt_dense.config import load_config
from lvt_dense.datasets.own import use_data
from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.datasets.own.summary import make_table

SIZE = (64, 64)


def small_config() -> Config:
    """A detector for 80 classes at 64 pixels, without chance."""
    cfg = load_config('lvt_dense::ssdlite_mobilevit_xxs_320_coco.py')
    train = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset.pipeline = [train[0], train[1], *train[-2:]]
    for split in ('train', 'val', 'test'):
        for step in cfg[f'{split}_dataloader'].dataset.pipeline:
            if 'scale' in step:
                step.scale = SIZE
    return cfg


def by_hand(root: Path) -> Config:
    """The config as it is set up for COCO's layout without ``use_data``."""
    cfg = small_config()
    cfg.model.bbox_head.num_classes = len(CLASSES)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.update(
            data_root=str(root),
            ann_file=f'annotations/instances_{split}.json',
            data_prefix=dict(img=f'{split}/'),
            metainfo=dict(classes=CLASSES),
        )
    cfg.val_evaluator.ann_file = f'{root}/annotations/instances_val.json'
    return cfg


def first_loss(cfg: Config, model: torch.nn.Module) -> float:
    """Loss of the first images, in their order."""
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(4)])
    data = model.data_preprocessor(batch, True)
    with torch.no_grad():
        losses = model.loss(data['inputs'], data['data_samples'])
    return float(model.parse_losses(losses)[0])


def metrics(cfg: Config, model: torch.nn.Module) -> dict[str, float]:
    """Figures of predictions that are the ground truth, somewhat moved."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        found = sample.gt_instances.clone()
        found.bboxes = found.bboxes.tensor + torch.tensor([2.0, 1, 3, 2])
        found.scores = torch.linspace(0.9, 0.5, len(found))
        if index == 1:
            found.labels = (found.labels + 1) % len(CLASSES)
        sample.pred_instances = found
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


@pytest.fixture(scope='module')
def model() -> torch.nn.Module:
    """A detector for three classes; the same for all layouts."""
    cfg = small_config()
    cfg.model.bbox_head.num_classes = len(CLASSES)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.eval()


@pytest.fixture(scope='module')
def reference(
    model: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, dict[str, float]]:
    """Loss and figures of the config that was set up by hand."""
    root = write_coco(tmp_path_factory.mktemp('hand'), make_shots())
    cfg = by_hand(root)
    return first_loss(cfg, model), metrics(cfg, model)


@pytest.mark.parametrize('layout', list(DETECTION))
def test_same_loss_and_metrics_as_coco_by_hand(
    layout: str,
    model: torch.nn.Module,
    reference: tuple[float, dict[str, float]],
    tmp_path: Path,
) -> None:
    root = DETECTION[layout](tmp_path / 'data', make_shots())
    before = sorted(tmp_path.joinpath('data').rglob('*'))
    cfg = use_data(small_config(), root)
    assert cfg.model.bbox_head.num_classes == len(CLASSES)
    loss, found = reference
    assert first_loss(cfg, model) == pytest.approx(loss, rel=1e-6)
    assert metrics(cfg, model) == pytest.approx(found, abs=1e-6)
    assert 0.2 < found['coco/bbox_mAP'] < 0.9
    assert sorted(tmp_path.joinpath('data').rglob('*')) == before


def test_the_table_says_where_each_split_was_read(tmp_path: Path) -> None:
    data = LabeledData('YOLO', tmp_path, ['a'], dict(train=[], val=[]))
    data.sources = dict(train='by folder', val='by folder', test='val.txt')
    first = make_table(data).splitlines()[0]
    assert first == (
        f'{tmp_path}: YOLO, 1 class; train/val by folder, test from val.txt'
    )
