"""Explanations through the command line."""

from pathlib import Path

import pytest
import torch
from helpers.commands import run_command
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
DETECTOR = CONFIGS / 'ssdlite_mobilevit_xxs_192_demo.py'
SEGMENTER = CONFIGS / 'pspnet_emo_1m_360_camvid.py'


def save_weights(config: Path, path: Path) -> Path:
    import_stack()
    cfg = load_config(str(config))
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return path


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('explain')
    save_weights(DETECTOR, root / 'detector.pth')
    save_weights(SEGMENTER, root / 'segmenter.pth')
    pixels = torch.randint(0, 255, (90, 120, 3), dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(root / 'street.jpg')
    return root


def explain(files: Path, out: Path, *words: object, seg: bool = False) -> int:
    config = SEGMENTER if seg else DETECTOR
    weights = files / ('segmenter.pth' if seg else 'detector.pth')
    image = files / 'street.jpg'
    return run_command('explain', config, weights, image, '--out', out, *words)


@pytest.mark.parametrize('method', ['grad-cam', 'hires-cam'])
def test_detection(
    method: str, files: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / 'a.png'
    words = ('--detection', 1, '--class', 'car', '--method', method)
    assert explain(files, out, *words) == 0
    said = capsys.readouterr().out
    assert 'car 0.' in said and 'inside the box' in said
    assert Image.open(out).size[0] > 500


def test_class_of_a_segmenter(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(files, tmp_path / 'a.png', seg=True) == 0
    assert 'of pixels' in capsys.readouterr().out


def test_several_models_in_one_picture(files: Path, tmp_path: Path) -> None:
    out = tmp_path / 'a.png'
    assert explain(files, out, '--attention', '60,45') == 0
    alone = Image.open(out).size
    other = ('--compare', SEGMENTER, files / 'segmenter.pth')
    assert explain(files, out, '--attention', '60,45', *other) == 0
    assert Image.open(out).size[1] > 1.8 * alone[1]


def test_receptive_field_and_similarity(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'a.png'
    assert explain(files, out, '--receptive-field') == 0
    said = capsys.readouterr().out
    assert 'before training, level 0: 50 % in' in said
    assert explain(files, out, '--similarity', seg=True) == 0
    said = capsys.readouterr().out
    assert 'attention alone: mean similarity' in said


@pytest.mark.parametrize(
    'words, message',
    [
        (['--detection', '99999'], 'detections'),
        (['--class', 'cow'], 'choose from person'),
        (['--level', '9'], 'has the levels'),
        (['--method', 'lime'], 'choose from grad-cam'),
        (['--attention', '500,5'], 'the image has 120 x 90'),
        (['--attention', 'here'], 'give X,Y'),
        (['--similarity', '--level', '1'], 'belong to Grad-CAM'),
    ],
)
def test_bad_input(
    words: list[str], message: str, files: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / 'a.png'
    assert explain(files, out, *words) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
