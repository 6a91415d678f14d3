"""Pictures of folders as people have them."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.commands import run_command
from helpers.segmentation import IMAGE, small_config
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from lvt_dense.apis.visualize import visualize
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.engine.prediction_inputs import find_images
from lvt_dense.utils.errors import UserError

DETECTOR = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
NAMES = ('nut', 'bolt', 'screw')


def save_weights(cfg: Config, path: Path, **meta: object) -> Path:
    """Random weights of a model, as a training saves them."""
    import_stack()
    init_default_scope(cfg.default_scope)
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state, meta=meta), path)
    return path


def write_image(path: Path, width: int = 64, height: int = 48) -> bytes:
    """Write noise; its bytes come back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.RandomState(0).randint(0, 255, (height, width, 3))
    cv2.imwrite(str(path), noise)
    return path.read_bytes()


@pytest.fixture(scope='module')
def detector() -> Config:
    """A detector of three classes at 64 x 64 pixels."""
    cfg = load_config(DETECTOR)
    cfg.test_dataloader.dataset.pipeline[1].scale = (64, 64)
    cfg.model.test_cfg.max_per_img = 2  # each takes a while to draw
    return cfg


@pytest.fixture(scope='module')
def weights(detector: Config, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights, trained for nuts, bolts and screws."""
    path = tmp_path_factory.mktemp('weights') / 'net.pth'
    meta = dict(dataset_meta=dict(classes=NAMES))
    return str(save_weights(detector, path, **meta))


def draw(
    cfg: Config, weights: str, source: Path, out: Path, **keys: Any
) -> list:
    """Predict with all scores."""
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    return visualize(cfg, weights, str(source), str(out), score_thr=0, **keys)


def test_names_are_those_of_the_checkpoint(
    detector: Config, weights: str, tmp_path: Path
) -> None:
    write_image(tmp_path / 'in' / 'a.jpg')
    (record,) = draw(detector, weights, tmp_path / 'in', tmp_path / 'out')
    found = record['objects']
    assert [o['label'] for o in found] == [NAMES[o['index']] for o in found]
    assert found
    assert {*record} == {'image', 'picture', 'height', 'width', 'objects'}
    scores = [item['score'] for item in found]
    assert scores == sorted(scores, reverse=True)
    assert {*found[0]} == {'label', 'index', 'score', 'box'}


def test_folders_and_suffixes_keep_apart(
    detector: Config, weights: str, tmp_path: Path
) -> None:
    source, out = tmp_path / 'in', tmp_path / 'out'
    for name in ('x/a.jpg', 'y/a.jpg', 'b.jpg', 'b.png'):
        write_image(source / name)
    records = draw(detector, weights, source, out)
    pictures = [Path(record['picture']) for record in records]
    expected = {'x/a.jpg.png', 'y/a.jpg.png', 'b.jpg.png', 'b.png.png'}
    assert {p.relative_to(out).as_posix() for p in pictures} == expected
    assert all(path.is_file() for path in pictures)
    assert json.loads((out / 'predictions.json').read_text()) == records


def test_nothing_of_the_user_is_replaced(
    detector: Config, weights: str, tmp_path: Path
) -> None:
    before = write_image(tmp_path / 'in' / 'a.jpg')
    theirs = write_image(tmp_path / 'out' / 'a.jpg.png')
    with pytest.raises(UserError, match='a.jpg.png is there already'):
        draw(detector, weights, tmp_path / 'in', tmp_path / 'out')
    assert (tmp_path / 'in' / 'a.jpg').read_bytes() == before
    assert (tmp_path / 'out' / 'a.jpg.png').read_bytes() == theirs
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['a.jpg.png']


@pytest.mark.parametrize('out', ['.', 'out', '../beside'])
def test_second_run_draws_the_same_images(
    detector: Config, weights: str, tmp_path: Path, out: str
) -> None:
    source = tmp_path / 'in'
    write_image(source / 'a.jpg')
    write_image(source / 'x' / 'b.jpg')
    first = draw(detector, weights, source, source / out)
    assert len(first) == 2
    assert draw(detector, weights, source, source / out) == first
    # another folder of results within the images
    assert len(draw(detector, weights, source, source / 'again')) == 2


def test_bad_files_are_named_and_the_rest_is_done(
    detector: Config, weights: str, tmp_path: Path
) -> None:
    source, out = tmp_path / 'in', tmp_path / 'out'
    for name in ('a.jpg', 'z.jpg'):
        write_image(source / name)
    (source / '._a.jpg').write_bytes(b'\0\5\26\7')  # as macOS leaves them
    (source / 'b.jpg').write_bytes((source / 'a.jpg').read_bytes()[:200])
    (source / 'c.png').write_bytes(b'')
    with pytest.raises(UserError, match='3 of 5 images') as caught:
        draw(detector, weights, source, out)
    for name in ('._a.jpg', 'b.jpg', 'c.png'):
        assert f'{source / name}' in str(caught.value)
    records = json.loads((out / 'predictions.json').read_text())
    assert [Path(record['image']).name for record in records] == [
        'a.jpg',
        'z.jpg',
    ]
    assert all(Path(record['picture']).is_file() for record in records)


def test_command_ends_with_one_line(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_image(tmp_path / 'in' / 'a.jpg')
    (tmp_path / 'in' / 'b.jpg').write_bytes(b'no image')
    source, out = tmp_path / 'in', tmp_path / 'out'
    args = (DETECTOR, weights, source, '--out', out)
    assert run_command('visualize', *args) == 2
    said = capsys.readouterr().err
    lines = [x for x in said.splitlines() if x.startswith('error:')]
    assert len(lines) == 1
    assert 'b.jpg' in lines[0]
    assert len(json.loads((out / 'predictions.json').read_text())) == 1


def test_interrupted_run_keeps_what_is_done(
    detector: Config,
    weights: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, out = tmp_path / 'in', tmp_path / 'out'
    for name in 'ab':
        write_image(source / f'{name}.jpg')
    from lvt_dense.apis import visualize as module

    original = module.to_record

    def interrupt(*args: object) -> dict:
        if (out / 'b.jpg.png').exists():
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(module, 'to_record', interrupt)
    with pytest.raises(KeyboardInterrupt):
        draw(detector, weights, source, out, batch_size=1)
    (record,) = json.loads((out / 'predictions.json').read_text())
    assert record['image'] == str(source / 'a.jpg')


def test_segmenter_on_images_of_different_sizes(tmp_path: Path) -> None:
    name = 'deeplabv3_mobilevit_xxs_360_camvid'
    cfg = small_config(name, tmp_path, tmp_path / 'work')
    weights = save_weights(cfg, tmp_path / 'net.pth')
    sizes = [IMAGE, (64, 96), IMAGE, (100, 40), (48, 64)]
    source = tmp_path / 'in'
    for number, size in enumerate(sizes):
        write_image(source / f'{number}.png', *size)
    records = draw(cfg, str(weights), source, tmp_path / 'out')
    draw(cfg, str(weights), source, tmp_path / 'one', batch_size=1)
    assert len(records) == len(sizes)
    for number, (width, height) in enumerate(sizes):
        maps = [
            cv2.imread(str(tmp_path / out / f'{number}.png_labels.png'), -1)
            for out in ('out', 'one')
        ]
        assert maps[0].shape == (height, width)
        np.testing.assert_array_equal(*maps)


def test_images_are_found_in_order(tmp_path: Path) -> None:
    for name in ('b.PNG', 'a/c.jpg', 'out/d.jpg'):
        write_image(tmp_path / name)
    (tmp_path / 'e.txt').write_text('no image')
    (tmp_path / 'folder.jpg').mkdir()
    found = find_images(str(tmp_path), skipped=tmp_path / 'out')
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        'a/c.jpg',
        'b.PNG',
    ]
    pattern = find_images(str(tmp_path / '*' / '*.jpg'))
    assert [p.name for p in pattern] == ['c.jpg', 'd.jpg']
    with pytest.raises(UserError, match='no image'):
        find_images(str(tmp_path / 'none'))
