"""Images that a teacher labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.distillation import SSDLITE, build
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from lvt_dense.apis import pseudo_labels
from lvt_dense.apis.pseudo_labels import most_probable, use_unlabeled
from lvt_dense.config import load_config, set_data_root
from lvt_dense.engine.data_checks import check_data
from lvt_dense.engine.distillation.settings import use_teacher
from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError

CLASSES = ('person', 'bicycle', 'car')
CONFIG = f'lvt_dense::{SSDLITE}.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('labels')
    write_coco(root / 'coco', 6, seed=1, size=(96, 72), val_fraction=0.5)
    content = dict(
        state_dict=build(SSDLITE).state_dict(),
        meta=dict(dataset_meta=dict(classes=CLASSES)),
    )
    torch.save(content, root / 'teacher.pth')
    return root


def config(data: Path, work_dir: Path, kind: str = 'none') -> Config:
    cfg = load_config(CONFIG)
    set_data_root(cfg, str(data / 'coco'))
    cfg.work_dir = str(work_dir)
    use_teacher(cfg, [CONFIG, str(data / 'teacher.pth')], kind)
    init_default_scope('mmdet')
    return cfg


def test_boxes_become_a_data_set(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudo_labels, 'SCORE', 0.0)  # random weights
    cfg = config(data, tmp_path)
    images = data / 'coco' / 'val2017'
    (line,) = use_unlabeled(cfg, str(images))
    written = json.loads((tmp_path / 'pseudo_labels/coco.json').read_text())
    count = len(written['annotations'])
    assert f'has found {count} objects with a score of at least' in line
    assert f'in {len(written["images"])} of 3 images' in line
    assert [c['name'] for c in written['categories']] == [*CLASSES]
    for entry in written['images']:
        assert (entry['width'], entry['height']) == (96, 72)
        assert Path(entry['file_name']).is_file()
    boxes = np.array([a['bbox'] for a in written['annotations']])
    assert (boxes[:, 0] + boxes[:, 2]).max() < 97
    check_data(cfg, ['train'])
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) > len(DATASETS.build(config(data, tmp_path)
        .train_dataloader.dataset))  # fmt: skip
    info = dataset.get_data_info(len(dataset) - 1)
    assert Path(info['img_path']).parent == images.resolve()
    assert info['instances']


def test_nothing_found_and_other_classes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudo_labels, 'SCORE', 1.1)
    images = str(data / 'coco' / 'val2017')
    with pytest.raises(UserError, match='finds no object with a score of 1.1'):
        use_unlabeled(config(data, tmp_path), images)
    assert not (tmp_path / 'pseudo_labels').exists()
    cfg = config(data, tmp_path)
    dataset = cfg.train_dataloader.dataset
    dataset.metainfo = dict(classes=('car', 'person', 'bicycle'))
    with pytest.raises(UserError, match='in the same order'):
        use_unlabeled(cfg, images)
    with pytest.raises(UserError, match='holds no image'):
        use_unlabeled(config(data, tmp_path), str(tmp_path))
    cfg = config(data, tmp_path)
    cfg.launcher = 'pytorch'
    with pytest.raises(UserError, match='run once without --launcher'):
        use_unlabeled(cfg, images)


def test_confidence_of_a_pixel() -> None:
    logits = torch.tensor([[[2.0, 0.5]], [[0.0, 0.0]], [[-9.0, -9.0]]])
    # 0.88, and 0.62
    assert most_probable(logits).tolist() == [[0, 255]]
    assert most_probable(torch.tensor([[[3.0, -3.0, 0.1]]])).tolist() == [
        [1, 0, 255]
    ]
