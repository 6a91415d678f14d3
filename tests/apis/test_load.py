"""One object to predict with, from a config, a file or a name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from mmengine.registry import MODELS, init_default_scope

import lvt_dense
from lvt_dense.apis.visualize import visualize
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError

PUBLISHED = 'ssdlite_mobilevit_xxs_320_coco'
NAME = 'ssdlite_mobilevit_xxs_192_demo'
CONFIG = f'lvt_dense::{NAME}.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of random weights, and rendered images."""
    root = tmp_path_factory.mktemp('load')
    write_coco(root / 'coco', 2, seed=0, size=(90, 70))
    import_stack()
    for name, file in ((NAME, 'model.pth'), (PUBLISHED, 'published.pth')):
        cfg = load_config(f'lvt_dense::{name}.py')
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        state = MODELS.build(cfg.model).state_dict()
        torch.save(dict(state_dict=state, meta={}), root / file)
    return root


@pytest.fixture
def image(folder: Path) -> Path:
    return next((folder / 'coco' / 'train2017').iterdir())


@pytest.mark.parametrize('has_graph', [True, False])
def test_a_config_predicts_as_its_model(
    folder: Path,
    image: Path,
    tmp_path: Path,
    has_graph: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_graph:
        from lvt_dense.deploy import pytorch_session

        def refuse(*_: object, **__: object) -> None:
            raise UserError('no graph')

        monkeypatch.setattr(pytorch_session, 'build_graph', refuse)
    checkpoint = str(folder / 'model.pth')
    model = lvt_dense.load(CONFIG, checkpoint)
    found = model.predict(image, score_thr=0.2)
    (record,) = visualize(
        load_config(CONFIG), checkpoint, str(image), str(tmp_path),
        score_thr=0.2,
    )  # fmt: skip
    expected = record['objects']
    assert len(found) == len(expected) > 10
    assert [f.score for f in found] == pytest.approx(
        [e['score'] for e in expected], abs=1e-4
    )
    assert found[0].label == expected[0]['label']
    boxes = np.array([f.box for f in found])
    # PIL and OpenCV decode and resize with differences of one level.
    gaps = np.abs(boxes - np.array([e['box'] for e in expected])).max(1)
    assert np.median(gaps) < 0.1


def test_a_published_name(
    folder: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lvt_dense.checkpoints import cache

    asked = []

    def fetch(file: object) -> Path:
        asked.append(file.name)
        return folder / 'published.pth'

    monkeypatch.setattr(cache, 'fetch', fetch)
    words = (PUBLISHED, image, '--out', tmp_path, '--format', 'json')
    assert run_command('predict', *words) == 0
    assert asked == [PUBLISHED]
    assert (tmp_path / 'predictions.json').is_file()


def test_the_report_s_threshold(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / 'model.pth'
    path.write_bytes((folder / 'model.pth').read_bytes())
    report = dict(checkpoint='model.pth', score_thr=0.42)
    (tmp_path / 'metrics.json').write_text(json.dumps(dict(report=report)))
    assert lvt_dense.load(CONFIG, path).score_threshold('best') == 0.42


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (('ssdlite_mobilevit_320_coc',), 'did you mean ssdlite_mobilevit'),
        ((CONFIG,), 'is a config: give the checkpoint'),
        (('none.onnx',), 'none.onnx does not exist'),
        (('a.onnx', 'b.pth'), 'is an exported model, which takes no'),
    ],
)
def test_what_cannot_be_loaded(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(UserError, match=text):
        lvt_dense.load(*words)


@pytest.mark.parametrize('limit', [40, 130])
def test_the_number_of_boxes_is_the_config_s(
    folder: Path, image: Path, limit: int
) -> None:
    """It is part of the graph, so an exported file has it, too."""
    options = {
        'model.test_cfg.max_per_img': limit,
        'model.test_cfg.score_thr': 0.0,
        'model.test_cfg.nms.iou_threshold': 0.99,
    }
    checkpoint = str(folder / 'model.pth')
    model = lvt_dense.load(CONFIG, checkpoint, cfg_options=options)
    assert len(model.predict(image, score_thr=0)) == limit
