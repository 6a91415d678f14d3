"""NCNN models, and what is said where there is none."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from lvt_dense.apis.export import export
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.deploy import ncnn_program
from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.runtime import Predictor
from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.sessions import NCNN_FILES, _label, open_session
from lvt_dense.utils.errors import UserError


class Graph(nn.Module):
    """A small graph of maps, of a padded image in the other order."""

    inputs = ('image', 'size')
    outputs = ('map_0', 'map_1')
    raw = True

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        preprocessor = dict(mean=[9.0, 99.0, 50.0], std=[60.0] * 3)
        preprocessor['bgr_to_rgb'] = True
        self.input = ImageInput(preprocessor, 'bgr', padded=True)
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, image: Tensor, size: Tensor | None = None) -> tuple:
        x = self.conv(self.input(image, size))
        return x, x.relu()[:, :1]


@pytest.fixture
def example() -> tuple[Tensor, ...]:
    image = torch.randint(0, 256, (1, 32, 64, 3), dtype=torch.uint8)
    return image, torch.tensor([[30, 59]])


@pytest.mark.parametrize(
    ('precision', 'atol'), [('fp32', 1e-5), ('fp16', 1e-2)]
)
def test_ncnn_gives_the_same(
    precision: str, atol: float, example: tuple[Tensor, ...], tmp_path: Path
) -> None:
    pytest.importorskip('ncnn')
    pytest.importorskip('pnnx')
    graph, folder = Graph().eval(), tmp_path / 'a.ncnn'
    folder.mkdir()
    info = dict(task='raw')
    ncnn_program.convert(graph, example, info, folder, precision)
    out = tmp_path / 'new' / 'b.ncnn'
    for _ in range(2):  # the second one replaces the first
        ncnn_program.write(folder, out)
    assert sorted(p.name for p in out.iterdir()) == sorted(NCNN_FILES)
    assert [p.name for p in out.parent.iterdir()] == ['b.ncnn']
    session = open_session(out)
    feed = {k: v.numpy() for k, v in zip(graph.inputs, example)}
    found = session.run(feed)
    with torch.no_grad():
        expected = graph(*example)
    for name, value in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(found[name], value, atol=atol)
    feed['image'] = np.repeat(feed['image'], 2, 0)
    with pytest.raises(InputError, match='takes one image at a time, not 2'):
        session.run(feed)


def test_a_layer_that_ncnn_lacks_is_named(
    example: tuple[Tensor, ...], tmp_path: Path
) -> None:
    pytest.importorskip('ncnn')
    pytest.importorskip('pnnx')

    class Sorting(Graph):
        def forward(self, image: Tensor, size: Tensor | None = None) -> tuple:
            x, y = super().forward(image, size)
            return x.sort(-1)[0], y

    text = 'does not convert to NCNN: it has no layer for .*sort'
    with pytest.raises(UserError, match=text):
        ncnn_program.convert(Sorting().eval(), example, {}, tmp_path)


def test_something_else_stays(tmp_path: Path) -> None:
    out = tmp_path / 'other.ncnn'
    out.mkdir()
    (out / 'mine.txt').touch()
    with pytest.raises(
        UserError, match='is in the way and is not an NCNN model'
    ):
        ncnn_program.write(tmp_path, out)
    assert (out / 'mine.txt').exists()


def make_checkpoint(name: str, folder: Path) -> tuple[Config, Path]:
    """A config, and a file of random weights."""
    import_stack()
    cfg = load_config(f'lvt_dense::{name}.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model, path = MODELS.build(cfg.model), folder / 'net.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return cfg, path


def test_segmenters_are_whole(tmp_path: Path) -> None:
    pytest.importorskip('ncnn')
    pytest.importorskip('pnnx')
    name, out = 'deeplabv3_mobilevit_xxs_360_camvid', tmp_path / 'net.ncnn'
    cfg, path = make_checkpoint(name, tmp_path)
    config = f'lvt_dense::{name}.py'
    options = ('--format', 'ncnn', '--precision', 'fp16', '--size', '64x96')
    assert not run_command('export', config, path, '--out', out, *options)
    labels = Predictor(out).predict(np.zeros((50, 70, 3), np.uint8))
    assert labels.shape == (50, 70)


def test_detectors_are_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('ncnn', 'pnnx'):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    out = tmp_path / 'net.ncnn'
    cfg, path = make_checkpoint('ssdlite_mobilevit_xxs_192_demo', tmp_path)
    with pytest.raises(UserError) as caught:
        export(cfg, str(path), str(out), kind='ncnn', size=(64, 96))
    assert str(caught.value) == (
        'NCNN has no layers for decoding and suppression, so a detector is '
        'not exported whole; --raw exports the network up to the maps'
    )
    assert not out.exists()


def test_a_damaged_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / 'net.ncnn'
    folder.mkdir()
    with pytest.raises(InputError, match='model.ncnn.param is missing'):
        open_session(folder)
    for name in NCNN_FILES:
        (folder / name).write_text(json.dumps(dict(task='raw')))
    monkeypatch.setitem(sys.modules, 'ncnn', None)
    with pytest.raises(InputError, match='not installed: pip install ncnn'):
        open_session(folder)


def test_scores_become_labels() -> None:
    scores = np.array([[[[0.2, 0.7]], [[0.4, 0.1]]]], np.float32)
    many = _label(dict(scores=scores), None)
    np.testing.assert_array_equal(many['labels'], [[[1, 0]]])
    one = _label(dict(scores=scores[:, :1]), 0.3)
    np.testing.assert_array_equal(one['labels'], [[[0, 1]]])
    assert _label(dict(map_0=scores), None)['map_0'] is scores
