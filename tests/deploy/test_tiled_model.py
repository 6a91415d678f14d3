"""Evaluation, drawing and training on tiles, through the command line."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from mmengine.registry import MODELS, init_default_scope

import lvt_dense
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.datasets.own.api import load_labels
from lvt_dense.datasets.own.tiles import cut_into_tiles
from lvt_dense.runtime import Tiling
from lvt_dense.scenes import write_coco, write_semantic

DETECTOR = 'ssdlite_mobilevit_xxs_192_demo'
SEGMENTER = 'deeplabv3_mobilevit_xxs_360_camvid'


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered data, and checkpoints of random weights."""
    root = tmp_path_factory.mktemp('tiles')
    write_coco(root / 'coco', 4, seed=0, size=(200, 120))
    options = dict(seed=0, val_fraction=0.5)
    write_semantic(root / 'camvid', 'camvid', 4, size=(128, 96), **options)
    import_stack()
    for name in (DETECTOR, SEGMENTER):
        cfg = load_config(f'lvt_dense::{name}.py')
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        state = dict(state_dict=model.state_dict(), meta={})
        torch.save(state, root / f'{name}.pth')
    return root


def config(name: str) -> str:
    return f'lvt_dense::{name}.py'


@pytest.mark.release
def test_detections_are_the_predictor_s(folder: Path, tmp_path: Path) -> None:
    checkpoint = folder / f'{DETECTOR}.pth'
    status = run_command(
        'test', config(DETECTOR), checkpoint,
        '--data-root', folder / 'coco', '--work-dir', tmp_path,
        '--out', tmp_path / 'found.pkl', '--tiles', 96, '--whole',
        '--cfg-options', 'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
    )  # fmt: skip
    assert status == 0
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 0 <= metrics['coco/bbox_mAP'] <= 1
    samples = pickle.loads((tmp_path / 'found.pkl').read_bytes())
    model = lvt_dense.load(config(DETECTOR), checkpoint)
    tiling = Tiling(96, whole=True)
    for sample in samples:
        found = model.predict(sample['img_path'], None, 0.0, tiling)
        boxes = np.array([item.box for item in found])
        given = sample['pred_instances']['bboxes'].numpy()
        assert len(given) == len(boxes) > 20
        # In any order, as some scores are equal; which of two equal ones
        # suppresses the other is left open, too.
        gaps = np.abs(given[:, None] - boxes[None]).max(-1)
        assert (gaps.min(0) < 1e-3).mean() > 0.99
        assert (gaps.min(1) < 1e-3).mean() > 0.99


def test_label_maps_are_the_predictor_s(folder: Path, tmp_path: Path) -> None:
    checkpoint = folder / f'{SEGMENTER}.pth'
    status = run_command(
        'test', config(SEGMENTER), checkpoint,
        '--data-root', folder / 'camvid', '--work-dir', tmp_path,
        '--out', tmp_path / 'found.pkl', '--tiles', 64,
        '--cfg-options', 'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
    )  # fmt: skip
    assert status == 0
    samples = pickle.loads((tmp_path / 'found.pkl').read_bytes())
    model = lvt_dense.load(config(SEGMENTER), checkpoint)
    for sample in samples:
        found = model.predict(sample['img_path'], tiling=Tiling(64))
        given = sample['pred_sem_seg']['data'][0].numpy()
        np.testing.assert_array_equal(given, found)
        assert found.shape == (96, 128)
    assert samples


def test_pictures_of_tiles(folder: Path, tmp_path: Path) -> None:
    status = run_command(
        'visualize', config(DETECTOR), folder / f'{DETECTOR}.pth',
        folder / 'coco' / 'val2017', '--out', tmp_path, '--tiles', 96,
        '--score-thr', 0.1,
    )  # fmt: skip
    assert status == 0
    (record,) = json.loads((tmp_path / 'predictions.json').read_text())
    assert Path(record['picture']).is_file()
    boxes = np.array([item['box'] for item in record['objects']])
    assert boxes[:, 2].max() > 150  # beyond the first tile


def test_what_tiles_do_not_go_with(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = folder / f'{DETECTOR}.pth'
    words = ('test', config(DETECTOR), checkpoint, '--work-dir', tmp_path)
    data = ('--data-root', folder / 'coco')
    assert run_command(*words, *data, '--tiles', 96, '--tta') == 2
    assert '--tiles with --tta' in capsys.readouterr().err
    assert run_command(*words, *data, '--overlap', 0.5) == 2
    assert '--overlap needs --tiles' in capsys.readouterr().err
    assert run_command('train', config(DETECTOR), '--tiles', 96) == 2
    assert '--tiles needs --data DIR' in capsys.readouterr().err


@pytest.mark.parametrize('task', ['detection', 'instance', 'semantic'])
def test_own_data_in_tiles(
    folder: Path, task: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    name = SEGMENTER if task == 'semantic' else DETECTOR
    cfg = load_config(config(name))
    data = load_labels(cfg, folder / 'coco', task)
    objects = [o for s in data.splits['train'] for o in s.objects]
    cut_into_tiles(data, Tiling(100, 0.2))
    tiles = data.splits['train']
    assert len(tiles) == 3 * 6 and data.splits['test'] is data.splits['val']
    assert {(t.width, t.height) for t in tiles} == {(100, 100)}
    if task == 'semantic':
        assert sum(t.pixels.total() for t in tiles) == 18 * 100 * 100
        return
    pieces = [o for t in tiles for o in t.objects]
    assert len(pieces) > len(objects)
    for piece in pieces:
        left, top, width, height = piece.bbox
        assert left >= 0 and top >= 0 and width > 0 and height > 0
        assert left + width <= 100 and top + height <= 100


def test_training_on_tiles(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    from lvt_dense.commands import train
    from lvt_dense.commands.arguments import read_config
    from lvt_dense.commands.parser import Parser

    parser = Parser()
    train.add_arguments(parser)
    words = [config(DETECTOR), '--data', folder / 'coco', '--tiles', 100]
    cfg = read_config(parser.parse_args([str(word) for word in words]))
    content = json.loads(
        Path(cfg.train_dataloader.dataset.ann_file).read_text()
    )
    assert {image['width'] for image in content['images']} == {100}
    name = content['images'][0]['file_name']
    assert Path(name).is_file() and name.startswith(str(tmp_path))
