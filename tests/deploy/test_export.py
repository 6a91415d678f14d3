"""Exported graphs of every kind of head, and their evaluation."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch.export import Dim
from torch.nn import functional as F

from lvt_dense import build_backbone
from lvt_dense.apis import export as module
from lvt_dense.apis.export import _make_graph, export
from lvt_dense.apis.test import test as evaluate
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.deploy import segmenters
from lvt_dense.deploy.exported_model import make_feed
from lvt_dense.deploy.onnx_program import DIVISOR
from lvt_dense.runtime import Detection, Predictor
from lvt_dense.scenes import write_coco, write_kitti, write_semantic
from lvt_dense.utils.errors import UserError

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

CASES = {
    'ssdlite_mobilevit_xxs_192_demo': (96, 96),
    'mask_rcnn_emo_coco': (64, 96),
    'deeplabv3_mobilevit_xxs_360_camvid': (64, 96),
    'monocon_mobilevit_xxs_kitti': (64, 160),
    'fcos3d_emo_kitti': (64, 160),
}
SLOW = (
    'mask_rcnn_emo_coco',
    'fcos3d_emo_kitti',
    'monocon_mobilevit_xxs_kitti',
)
NAMES = [
    pytest.param(name, marks=[pytest.mark.release] if name in SLOW else [])
    for name in CASES
]


def make_checkpoint(name: str, folder: Path) -> tuple[Any, str]:
    """A config, and a file of random weights with classes in it."""
    import_stack()
    cfg = load_config(f'lvt_dense::{name}.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if hasattr(model, 'roi_head'):  # else no class reaches the threshold
        torch.nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight, std=0.5)
    path = folder / f'{name}.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return cfg, str(path)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('exported')


@pytest.mark.parametrize('name', NAMES)
def test_export_equals_pytorch(name: str, folder: Path) -> None:
    cfg, checkpoint = make_checkpoint(name, folder)
    out = folder / f'{name}.onnx'
    gaps = export(cfg, checkpoint, str(out), size=CASES[name])
    assert gaps.pop('detections', 1) > 0
    assert gaps.pop('classes', 2) > 1
    assert max(gaps.values()) < 1e-4
    model = Predictor(out, threads=1)
    assert model.info['size'] == list(CASES[name])
    assert model.info['config'] == f'{name}.py' and model.info['opset'] == 18
    picture = np.random.default_rng(0).integers(0, 256, (75, 130, 3), np.uint8)
    camera = np.array([[90.0, 0, 65, 0], [0, 90, 37, 0], [0, 0, 1, 0]])
    found = model.predict(picture, camera, score_thr=1e-4)
    if model.info['task'] == 'semantic':
        assert found.shape == (75, 130)
    else:
        assert all(isinstance(item, Detection) for item in found)
        assert len({len(item.as_dict()) for item in found}) <= 1
    assert model.draw(picture, found, camera).size == (130, 75)


@pytest.fixture(scope='module')
def scenes(folder: Path) -> dict[str, Path]:
    """Rendered data by the dataset type of a config."""
    write_coco(folder / 'coco', 4, seed=0, size=(160, 96))
    # These fill the graph's input: a graph pads to its own size.
    write_kitti(folder / 'kitti', 4, seed=0, size=(160, 64))
    write_semantic(folder / 'camvid', 'camvid', 4, seed=0, size=(96, 64))
    return {
        'demo': folder / 'coco',
        'coco': folder / 'coco',
        'camvid': folder / 'camvid',
        'kitti': folder / 'kitti',
    }


@pytest.mark.parametrize('name', NAMES)
def test_evaluation_equals_pytorch(
    name: str, folder: Path, scenes: dict[str, Path], tmp_path: Path
) -> None:
    exported = folder / f'{name}.onnx'
    if not exported.exists():
        pytest.skip('the export failed')
    found = []
    for weights in (folder / f'{name}.pth', exported):
        cfg = load_config(f'lvt_dense::{name}.py')
        set_data_root(cfg, str(scenes[name.split('_')[-1]]))
        loader = cfg.test_dataloader
        loader.update(num_workers=0, persistent_workers=False)
        (resize,) = (
            step for step in loader.dataset.pipeline if 'scale' in step
        )
        resize.scale = CASES[name][::-1]
        out = tmp_path / 'found.pkl'
        metrics = evaluate(cfg, str(weights), str(tmp_path), out=str(out))
        found.append((metrics, pickle.loads(out.read_bytes())))
    (metrics, samples), (others, again) = found
    assert others == pytest.approx(metrics, abs=1e-3, nan_ok=True)
    assert len(samples) == len(again) > 0
    for one, two in zip(map(_values, samples), map(_values, again)):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=1e-4)


def _values(sample: dict) -> np.ndarray:
    """Scores above a thousandth, the highest first; or the label map."""
    if 'pred_sem_seg' in sample:
        return np.asarray(sample['pred_sem_seg']['data'])
    key = 'pred_instances_3d' if 'pred_instances_3d' in sample else ''
    found = sample[key or 'pred_instances']
    scores = np.sort(np.asarray(found['scores_3d' if key else 'scores']))[::-1]
    return scores[scores > 1e-3 + 1e-5]


@pytest.mark.release
def test_too_large_a_difference_writes_nothing(folder: Path) -> None:
    cfg, checkpoint = make_checkpoint(
        'deeplabv3_mobilevit_xxs_360_camvid', folder
    )
    out = folder / 'none.onnx'
    with pytest.raises(UserError, match='nothing was written'):
        export(cfg, checkpoint, str(out), size=(64, 64), tolerance=-1.0)
    assert not out.exists()


@pytest.mark.release
def test_any_size_and_raw_maps(folder: Path) -> None:
    cfg, checkpoint = make_checkpoint(
        'deeplabv3_mobilevit_xxs_360_camvid', folder
    )
    out = folder / 'dynamic.onnx'
    export(cfg, checkpoint, str(out), size='dynamic', raw=True)
    model = Predictor(out)
    assert model.info['size'] is None and model.info['batch'] is None
    for shape in ((1, 64, 96, 3), (3, 128, 64, 3)):
        feed = make_feed(model, np.zeros(shape, np.uint8))
        (found,) = model.run(feed).values()
        count, height, width, _ = shape
        assert found.shape == (count, 11, height // 16, width // 16)
    with pytest.raises(ValueError, match='without --raw'):
        model.predict(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize(('batch', 'is_refused'), [(None, True), (1, False)])
def test_a_graph_of_any_batch_is_compared_with_three_images(
    batch: int | None, is_refused: bool
) -> None:
    """One that forgets the third image passes with one and two."""

    class Graph:
        inputs, outputs = ('image',), ('map_0',)

        def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor]:
            return (image,)

    def call(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = feed['image'].copy()
        found[2:] = 0
        return dict(map_0=found)

    made: Any = SimpleNamespace(
        graph=Graph(),
        inputs=[(torch.ones(1, 2, 2, 3),)] * 2,
        info=dict(batch=batch),
    )
    if is_refused:
        with pytest.raises(UserError, match='nothing was written'):
            module._compare(made, call, 1e-4)
    else:
        assert module._compare(made, call, 1e-4) == dict(maps=0.0)


@pytest.mark.release
def test_a_graph_of_one_size_is_no_graph_of_any(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is right at the size of the recipe alone is found."""
    cfg, checkpoint = make_checkpoint(
        'deeplabv3_mobilevit_xxs_360_camvid', folder
    )
    monkeypatch.setattr(segmenters.Segmenter, '_score', _score_once)
    out = folder / 'fixed.onnx'
    with pytest.raises(UserError, match='nothing was written'):
        export(cfg, checkpoint, str(out), size='dynamic', raw=True)
    assert not out.exists()


def _score_once(self: Any, maps: Any) -> torch.Tensor:
    x = maps[-1]
    constant = [int(side * 2.0) for side in x.shape[2:]]
    return F.interpolate(F.interpolate(x, constant), x.shape[2:])


@pytest.mark.parametrize('name', ['mobilevit_xxs', 'emov2_1m', 't2t_vit_7'])
@pytest.mark.release
def test_backbones_of_any_size(name: str, tmp_path: Path) -> None:
    """Also where a level is odd that was even in the export."""
    net = build_backbone(name).eval()
    rows, columns = (Dim(side, min=2, max=64) for side in ('h', 'w'))
    free = {2: DIVISOR * rows, 3: DIVISOR * columns}
    program = torch.onnx.export(
        AsTuple(net).eval(),
        (torch.randn(1, 3, 64, 128),),
        dynamo=True,
        opset_version=18,
        dynamic_shapes=(free,),
        verbose=False,
    )
    program.save(str(tmp_path / 'net.onnx'))
    session = onnxruntime.InferenceSession(str(tmp_path / 'net.onnx'))
    for size in ((64, 128), (96, 160), (352, 64)):
        x = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = net(x)
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        for one, other in zip(expected, found, strict=True):
            assert np.abs(one.numpy() - other).max() < 1e-5 * one.abs().max()


class AsTuple(torch.nn.Module):
    """A network whose levels come as a tuple."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.net(x))


@pytest.mark.release
def test_semantic_fpn_of_any_size(folder: Path) -> None:
    cfg, checkpoint = make_checkpoint('fpn_emov2_1m_512_ade20k', folder)
    cfg.test_dataloader.dataset.pipeline[1].scale = (128, 64)
    out = folder / 'fpn.onnx'
    gaps = export(cfg, checkpoint, str(out), size='dynamic', raw=True)
    assert max(gaps.values()) < 1e-4


@pytest.mark.release
def test_openvino_gives_the_same(folder: Path) -> None:
    pytest.importorskip('openvino')
    cfg, checkpoint = make_checkpoint('ssdlite_mobilevit_xxs_192_demo', folder)
    out = folder / 'net.xml'
    gaps = export(cfg, checkpoint, str(out), kind='openvino', size=(96, 96))
    assert gaps.pop('detections', 1) > 0
    assert max(gaps.values()) < 1e-4
    picture = np.random.default_rng(0).integers(0, 256, (75, 90, 3), np.uint8)
    one = Predictor(out).predict(picture, score_thr=1e-4)
    onnx = folder / 'net.onnx'
    export(cfg, checkpoint, str(onnx), size=(96, 96))
    two = Predictor(onnx).predict(picture, score_thr=1e-4)
    assert len(one) == len(two) > 0
    assert one[0].score == pytest.approx(two[0].score, abs=1e-4)


@pytest.mark.release
def test_bf16_has_forms_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('openvino')
    from lvt_dense.deploy import openvino_graph

    seen = []

    def adapt(graph: torch.nn.Module, precision: str) -> torch.nn.Module:
        seen.append(precision)
        return graph

    monkeypatch.setattr(openvino_graph, 'adapt_to_openvino', adapt)
    cfg, checkpoint = make_checkpoint(
        'deeplabv3_mobilevit_xxs_360_camvid', folder
    )
    settings = dict(kind='openvino', precision='bf16', size=(96, 96))
    export(cfg, checkpoint, str(folder / 'bf16.xml'), **settings)
    assert seen == ['bf16']


@pytest.mark.release
def test_openvino_labels_the_same_pixels(folder: Path) -> None:
    pytest.importorskip('openvino')
    cfg, checkpoint = make_checkpoint(
        'deeplabv3_mobilevit_xxs_360_camvid', folder
    )
    out = folder / 'labels.xml'
    gaps = export(cfg, checkpoint, str(out), kind='openvino', size=(96, 96))
    assert gaps['labels'] < 1e-3
    pixels = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3))
    pixels = pixels.astype(np.uint8)
    model = Predictor(out)
    assert model.predict(pixels[0, :75, :90]).shape == (75, 90)
    # It was compiled for one image; the file holds for any number.
    found = model.run(make_feed(model, pixels))['labels']
    assert found.shape == (3, 96, 96)
    for one, labels in zip(pixels, found):
        np.testing.assert_array_equal(
            model.run(make_feed(model, one[None]))['labels'][0], labels
        )


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (dict(out='x.pt'), 'ends in .onnx'),
        (dict(size=(16, 64)), 'at least 32'),
        (dict(precision='int8'), '--precision int8 with --format onnx'),
        (dict(kind='tflite'), 'choose one of onnx, openvino, coreml'),
        (dict(kind='coreml', precision='int8'), 'choose one of fp32, fp16'),
        (dict(images=['none.jpg']), 'none.jpg'),
    ],
)
def test_bad_arguments(folder: Path, options: dict, text: str) -> None:
    cfg, checkpoint = make_checkpoint('ssdlite_mobilevit_xxs_192_demo', folder)
    options = dict(dict(out=str(folder / 'bad.onnx')), **options)
    with pytest.raises(UserError, match=text):
        export(cfg, checkpoint, **options)


def test_predictions_as_json(folder: Path, tmp_path: Path) -> None:
    from helpers.commands import run_command
    from PIL import Image

    out = folder / 'deeplabv3_mobilevit_xxs_360_camvid.onnx'
    if not out.exists():
        pytest.skip('the export failed')
    (tmp_path / 'in').mkdir()
    Image.new('RGB', (50, 40), 'gray').save(tmp_path / 'in' / 'a b.png')
    (tmp_path / 'in' / 'broken.jpg').write_bytes(b'no image')
    target = tmp_path / 'out'
    status = run_command('predict', out, tmp_path / 'in', '--out', target)
    assert status == 2
    (record,) = json.loads((target / 'predictions.json').read_text())
    assert sum(record['pixels'].values()) == 50 * 40
    assert Image.open(record['picture']).size == (50, 40)


def test_pictures_replace_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from helpers.commands import run_command
    from PIL import Image

    model = folder / 'deeplabv3_mobilevit_xxs_360_camvid.onnx'
    if not model.exists():
        pytest.skip('the export failed')
    Image.new('RGB', (50, 40), 'gray').save(tmp_path / 'a.png')
    for _ in range(2):  # the second run replaces the first one's picture
        assert run_command('predict', model, tmp_path, '--out', tmp_path) == 0
    (record,) = json.loads((tmp_path / 'predictions.json').read_text())
    assert record['image'] == str(tmp_path / 'a.png')
    (tmp_path / 'a.png.png').write_bytes(b'of the user')
    assert run_command('predict', model, tmp_path, '--out', tmp_path) == 2
    assert 'is in the way' in capsys.readouterr().err
    assert (tmp_path / 'a.png.png').read_bytes() == b'of the user'


def test_images_of_four_channels(tmp_path: Path) -> None:
    """Channels keep their order, whatever --color says."""
    name = 'deeplabv3_mobilevit_xxs_360_camvid'
    cfg = load_config(f'lvt_dense::{name}.py')
    cfg.model.backbone.in_channels = 4
    cfg.model.data_preprocessor.update(mean=[0.0], std=[255.0])
    import_stack()
    init_default_scope('mmseg')
    checkpoint = tmp_path / 'net.pth'
    torch.save(MODELS.build(cfg.model).state_dict(), checkpoint)
    for color in ('rgb', 'bgr'):
        made = _make_graph(
            cfg, str(checkpoint), 'onnx', (64, 64), color, False, ()
        )
        assert made.inputs[0][0].shape == (1, 64, 64, 4)
        assert made.gaps == dict(labels=0.0, classes=made.gaps['classes'])
        assert made.info['channels'] == 4


def test_steps_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversion takes a minute, and is left out here."""
    steps: list[str] = []
    monkeypatch.setattr(module, '_tell', steps.append)
    monkeypatch.setattr(module, '_convert', lambda *args: (None, lambda: None))
    cfg, checkpoint = make_checkpoint(
        'deeplabv3_mobilevit_xxs_360_camvid', tmp_path
    )
    out = str(tmp_path / 'a.onnx')
    export(cfg, checkpoint, out, size=(64, 64))
    assert [step.split()[0] for step in steps] == [
        'building', 'converting', 'writing'
    ]  # fmt: skip
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.jpg').write_bytes(b'no image')
    with pytest.raises(UserError, match='no image can be read'):
        export(
            cfg,
            checkpoint,
            out,
            size=(64, 64),
            calibration=str(tmp_path / 'images'),
        )
    assert 'left out: image' in steps[-1]
