"""Boxes that lose their area in a training pipeline do not reach the loss."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image

from lvt_dense.config import dataset_cfgs, load_config
from lvt_dense.datasets.own.adapt import find_dicts
from lvt_dense.datasets.own.detection import adapt_detection, write_split_files
from lvt_dense.datasets.own.formats.labeled_data import (
    SPLITS,
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.datasets.own.prepared import Prepared
from lvt_dense.utils.config_class import find_class

ROOT = Path(__file__).parents[2]
PATHS = [
    *sorted((ROOT / 'configs').glob('*.py')),
    *sorted((ROOT / 'projects' / 'overfit').glob('*_*.py')),
]
WIDTH, HEIGHT = 64, 48
BOXES = (
    [8.0, 6.0, 56.0, 42.0],
    [20.0, 10.0, 20.0, 40.0],
    [20.0, 30.0, 50.0, 30.0],
    # outside once float32 has rounded its left side: a resize clips it to
    # nothing, while an image in a larger canvas has room for it
    [WIDTH - 1e-7, 5.0, WIDTH + 20.0, 30.0],
)
GOOD, OUTSIDE = 0, 3  # labels, which are the indices of the boxes


def _training_pipelines(cfg: Config) -> Iterator[list]:
    for node in find_dicts([cfg.train_dataloader, cfg.get('custom_hooks')]):
        for key in ('pipeline', 'switch_pipeline'):
            if isinstance(node.get(key), list):
                yield node[key]


def _labels_after(pipeline: list, path: Path) -> set[int]:
    """Run a pipeline a few times; return the labels that are left."""
    left: set[int] = set()
    steps = Compose(pipeline)
    for _ in range(6):  # mosaics need five images
        packed = steps(_annotated(path))
        truth = packed['data_samples'].gt_instances
        assert (truth.bboxes.widths > 0).all()
        assert (truth.bboxes.heights > 0).all()
        assert len(truth.labels) == len(truth.bboxes)
        if 'masks' in truth:
            assert len(truth.masks) == len(truth.bboxes)
        left |= set(truth.labels.tolist())
    return left


def _annotated(path: Path) -> dict[str, Any]:
    instances = []
    for label, (x1, y1, x2, y2) in enumerate(BOXES):
        corners = [x1, y1, x2, y1, x2, y2, x1, y2]
        instances.append(
            dict(
                bbox=[x1, y1, x2, y2],
                bbox_label=label,
                ignore_flag=0,
                mask=[corners],
            )
        )
    return dict(
        img_path=str(path),
        img_id=0,
        width=WIDTH,
        height=HEIGHT,
        instances=instances,
    )


@pytest.fixture(scope='module')
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gray image."""
    path = tmp_path_factory.mktemp('image') / 'a.png'
    Image.new('RGB', (WIDTH, HEIGHT), 'gray').save(path)
    return path


def test_no_recipe_hands_on_flat_boxes(image: Path) -> None:
    from mmdet.datasets import CocoDataset

    init_default_scope('mmdet')
    np.random.seed(0)
    done = []
    for path in PATHS:
        cfg = Config.fromfile(path)
        dataset = next(dataset_cfgs(cfg, 'train'))
        if cfg.default_scope != 'mmdet' or not issubclass(
            find_class(DATASETS, dataset), CocoDataset
        ):
            continue
        pipelines = list(_training_pipelines(cfg))
        assert pipelines, path.name
        for pipeline in pipelines:
            if pipeline not in done:  # many recipes share one
                done.append(pipeline)
                left = _labels_after(pipeline, image)
                assert left - {OUTSIDE} == {GOOD}, path.name
    assert len(done) > 5


@pytest.mark.parametrize('name', ['retinanet_emo_1m', 'mask_rcnn_emo'])
def test_box_that_a_resize_clips_to_nothing(name: str, image: Path) -> None:
    init_default_scope('mmdet')
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}_coco.py')
    (pipeline,) = _training_pipelines(cfg)
    assert _labels_after(pipeline, image) == {GOOD}


@pytest.mark.parametrize(
    'name',
    [
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
        'lvt_dense::ssdlite_emo_1m_320_coco.py',
    ],
)
def test_own_data_in_any_recipe(
    name: str, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(image.parent / 'cache'))
    cfg = load_config(name)
    sample = Sample(image, WIDTH, HEIGHT, [Object(0, (8, 6, 48, 36))])
    data = LabeledData(
        'COCO JSON', image.parent, ['part'], {s: [sample] for s in SPLITS}
    )
    prepared = Prepared(
        data.root, data.classes, [(0, 0, 0)], write_split_files(data), ''
    )
    adapt_detection(cfg, prepared, 'detection')
    init_default_scope('mmdet')
    kinds = [
        [find_class(TRANSFORMS, step).__name__ for step in pipeline]
        for pipeline in _training_pipelines(cfg)
    ]
    for steps in kinds:
        if 'PackDetInputs' in steps:
            assert steps.count('FilterAnnotations') == 1
    assert any('FilterAnnotations' in steps for steps in kinds)
