"""What a training starts from, by itself and as it is told."""

import io
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.official import filled
from helpers.official_names import rename
from helpers.weight_server import File, Server, mirroring
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from lvt_dense import build_backbone
from lvt_dense.checkpoints import cache
from lvt_dense.checkpoints.published import WHOLE_MODELS
from lvt_dense.checkpoints.ssdlite import LAYOUTS
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import dataset_cfgs, load_config
from lvt_dense.datasets.metainfo import classes_of_benchmark
from lvt_dense.datasets.own.heads import set_num_classes
from lvt_dense.engine.start import choose_start
from lvt_dense.utils.errors import UserError

DETECTOR = 'ssdlite_mobilevit_xxs_320_coco'
CLASSES = ('Person', 'raccoon', 'trafficlight')


@pytest.fixture(scope='module')
def detector() -> bytes:
    """A file in the official layout."""
    import_stack()
    init_default_scope('mmdet')
    model = MODELS.build(load_config(f'lvt_dense::{DETECTOR}.py').model)
    state = {
        key: filled(key, value.shape)
        for key, value in rename(LAYOUTS[0], model.state_dict()).items()
        if not key.endswith('num_batches_tracked')
    }
    return content_of(state)


def content_of(state: object) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """An empty mirror and cache, and no other network."""
    asked: list[str] = []
    real = urllib.request.OpenerDirector.open

    def open_local(self: Any, request: Any, *args: Any, **kw: Any) -> Any:
        if '//127.0.0.1' in request.full_url:
            return real(self, request, *args, **kw)
        asked.append(request.full_url)
        raise urllib.error.URLError('no network')

    monkeypatch.setattr(urllib.request.OpenerDirector, 'open', open_local)
    monkeypatch.setattr(cache, '_is_offline', False)
    with mirroring(tmp_path, monkeypatch) as server:
        server.asked = asked  # type: ignore[attr-defined]
        yield server


def config(name: str, tmp_path: Path, **options: Any) -> Config:
    cfg = load_config(f'lvt_dense::{name}.py', options)
    cfg.work_dir = str(tmp_path)
    for dataset in dataset_cfgs(cfg, 'train'):
        dataset['metainfo'] = dict(classes=CLASSES)
    set_num_classes(cfg.model, len(CLASSES), cfg.default_scope)
    return cfg


def test_best_published(
    server: Server, detector: bytes, tmp_path: Path
) -> None:
    server.files[f'/{DETECTOR}.pt'] = File(detector)
    cfg = config(DETECTOR, tmp_path)
    start = choose_start(cfg, 'auto')
    assert start.path == cfg.load_from
    assert Path(start.path).name == f'{DETECTOR}.pt'
    assert start.pairs == [(0, 0), (9, 2)]
    first, second = start.lines
    assert first.startswith(f'start: all weights of {DETECTOR} by ml-cvnets')
    for part in ('bbox_mAP 19.9 on coco', 'Apple', 'not verified'):
        assert part in first
    assert second == (
        'start: 2 of 80 classes kept by name: Person, trafficlight; 1 new: '
        'raccoon'
    )
    assert server.asked == []  # type: ignore[attr-defined]


def test_another_architecture_has_no_whole_model(
    server: Server, detector: bytes, tmp_path: Path
) -> None:
    """The same backbone under another head: that of ImageNet."""
    server.files[f'/{DETECTOR}.pt'] = File(detector)
    backbone = build_backbone('mobilevit_xs').state_dict()
    server.files['/mobilevit_xs.pt'] = File(content_of(backbone))
    cfg = config('rtmdet_mobilevit_xs_coco', tmp_path)
    start = choose_start(cfg, 'auto')
    assert start.path is None and start.pretrained == 'official'
    assert start.lines[0].startswith('start: backbone mobilevit_xs,')
    assert 'load_from' not in cfg or cfg.load_from is None


def test_offline(server: Server, tmp_path: Path) -> None:
    """One attempt, random weights, and what they cost."""
    cfg = config(DETECTOR, tmp_path)
    start = choose_start(cfg, 'auto')
    assert start.pretrained == 'none' and start.path is None
    better, cost = start.lines
    assert f'{DETECTOR} (cannot be reached) would be a better' in better
    assert cost.startswith('WARNING: start: mobilevit_xxs is not available')
    assert 'several times as many epochs' in cost
    assert len(server.asked) == 1  # type: ignore[attr-defined]


def test_none_published(server: Server, tmp_path: Path) -> None:
    cfg = config('ssdlite_plg_vit_lw_r_320_coco', tmp_path)
    start = choose_start(cfg, 'auto')
    assert 'images with this normalization, so' in start.lines[0]
    assert server.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ('changes', 'resumed', 'pretrained'),
    (
        ({}, True, None),
        ({}, False, 'none'),
        (dict(load_from='a.pth'), False, None),
    ),
)
def test_what_is_chosen_already_stays(
    changes: dict, resumed: bool, pretrained: str | None, tmp_path: Path
) -> None:
    cfg = config(DETECTOR, tmp_path, **changes)
    start = choose_start(cfg, 'auto', pretrained, resumed)
    assert (start.pretrained, start.path) == (pretrained, None)
    with pytest.raises(UserError, match='--start none, but .*: give one of'):
        choose_start(cfg, 'none', pretrained, resumed)


def test_switched_off(tmp_path: Path) -> None:
    """As in these tests themselves."""
    start = choose_start(config(DETECTOR, tmp_path), 'auto')
    assert (start.lines, start.path, start.pretrained) == ([], None, None)


def test_names(server: Server, detector: bytes, tmp_path: Path) -> None:
    cfg = config(DETECTOR, tmp_path)
    assert choose_start(cfg, 'none').pretrained == 'none'
    assert choose_start(cfg, 'mobilevit_xxs').pretrained == 'mobilevit_xxs'
    with pytest.raises(UserError, match='--start nothing.pth: .* not exist'):
        choose_start(cfg, 'nothing.pth')
    server.files[f'/{DETECTOR}.pt'] = File(detector)
    assert choose_start(cfg, DETECTOR).pairs == [(0, 0), (9, 2)]


def test_files(detector: bytes, tmp_path: Path) -> None:
    """Of unknown classes, of another network, of a backbone alone."""
    path = tmp_path / 'found.pth'
    path.write_bytes(detector)
    start = choose_start(config(DETECTOR, tmp_path), str(path))
    assert start.pairs == [] and start.path == str(path)
    assert (
        'does not name its classes, so all 3 classes start' in start.lines[1]
    )
    emo = config('ssdlite_emo_1m_320_coco', tmp_path)
    with pytest.raises(UserError, match='is a checkpoint of another network'):
        choose_start(emo, str(path))


def test_classes_that_do_not_fit_the_rows(
    detector: bytes, tmp_path: Path
) -> None:
    path = tmp_path / 'found.pth'
    state = torch.load(io.BytesIO(detector))
    names = classes_of_benchmark('coco')[:79]
    meta = dict(dataset_meta=dict(classes=names))
    torch.save(dict(state_dict=state, meta=meta), path)
    start = choose_start(config(DETECTOR, tmp_path), str(path))
    assert set(start.layouts.values()) == {None}
    assert 'does not fit, so it keeps its random weights' in start.lines[-1]


def test_every_whole_model_names_its_classes() -> None:
    counts = dict(coco=80, voc=21, ade20k=150)
    for record in WHOLE_MODELS:
        assert (
            len(classes_of_benchmark(record.dataset)) == counts[record.dataset]
        )
        load_config(f'lvt_dense::{record.recipe}.py')
