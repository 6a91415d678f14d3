"""Explanations of boxes in space."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.scenes import write_kitti

HEADS = ('monocon_mobilevit_xxs_kitti', 'fcos3d_emo_kitti')
SIZE = (256, 96)


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('kitti') / 'data'
    write_kitti(root, 2, seed=0, size=SIZE)
    return next((root / 'training' / 'image_2').iterdir())


def options_of(name: str) -> list[str]:
    """Options for a small image, and all that a new network finds."""
    cfg = load_config(f'lvt_dense::{name}.py')
    steps = cfg.test_dataloader.dataset.pipeline
    scales = [i for i, step in enumerate(steps) if 'scale' in step]
    return [
        'model.test_cfg.score_thr=0',
        *(
            f'test_dataloader.dataset.pipeline.{i}.scale=({SIZE[0]},{SIZE[1]})'
            for i in scales
        ),
    ]


@pytest.fixture(scope='module', params=HEADS)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A config, and weights that are random."""
    name = request.param
    import_stack()
    cfg = load_config(f'lvt_dense::{name}.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    path = tmp_path_factory.mktemp('weights') / f'{name}.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return name, path


@pytest.mark.parametrize('method', ['grad-cam', 'occlusion'])
def test_maps_follow_the_detection(
    method: str,
    model: tuple[str, Path],
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if method == 'occlusion':
        pytest.importorskip('captum')
        monkeypatch.setattr('lvt_dense.explain.attribution._PATCHES', 3)
    from lvt_dense.apis import explain as api

    kept: list[list[torch.Tensor]] = []
    name = dict(occlusion='pixel_attribution').get(method, 'class_activation')
    plain = getattr(api, name)

    def keep(*args: object, **options: object) -> object:
        found = plain(*args, **options)
        kept.append(list(found.values()) if method == 'grad-cam' else [found])
        return found

    monkeypatch.setattr(api, name, keep)
    config, weights = model
    for number in (0, 1):
        out = tmp_path / f'{number}.png'
        words = (f'lvt_dense::{config}.py', weights, scene, '--out', out)
        more = ('--detection', number, '--method', method)
        options = ('--cfg-options', *options_of(config))
        assert run_command('explain', *words, *more, *options) == 0
        assert np.asarray(Image.open(out)).std() > 0
    for maps in kept:
        assert all(torch.isfinite(m).all() and m.min() >= 0 for m in maps)
        assert any(m.sum() > 0 for m in maps)
    assert any(
        not torch.equal(a, b) for a, b in zip(*kept) if a.shape == b.shape
    )


def test_a_box_outside_the_image_has_no_share() -> None:
    from lvt_dense.apis.explain import _share_line

    subject: Any = SimpleNamespace(picture=np.zeros((96, 256, 3), np.uint8))
    heat = torch.zeros(6, 16)
    heat[:, :4] = 1
    outside = _share_line(subject, heat, [300.0, 10.0, 340.0, 50.0], 'level 0')
    assert outside == ['  level 0: the box lies outside the image']
    (line,) = _share_line(subject, heat, [-5.0, -5.0, 128.0, 96.0], 'level 0')
    assert (
        line == '  level 0: 100.0% inside the box, which is 50.0% of the image'
    )
