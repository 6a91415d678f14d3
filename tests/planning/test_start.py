"""What a plan says that its training starts from."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import own_data
from helpers.official import filled
from helpers.official_names import rename
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from lvt_dense.checkpoints.ssdlite import LAYOUTS
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import dataset_cfgs, load_config
from lvt_dense.datasets.own.heads import set_num_classes
from lvt_dense.planning.plan import Planner, Request
from lvt_dense.planning.start import PlannedStart, find_start, use_start
from lvt_dense.utils.errors import UserError

DETECTOR = 'ssdlite_mobilevit_xxs_320_coco'


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """The recipe for two classes of one's own."""
    import_stack()
    made = load_config(f'lvt_dense::{DETECTOR}.py')
    made.work_dir = str(tmp_path)
    for dataset in dataset_cfgs(made, 'train'):
        dataset['metainfo'] = dict(classes=('person', 'raccoon'))
    set_num_classes(made.model, 2, made.default_scope)
    return made


@pytest.fixture
def mirror(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with the published detector, in its own layout."""
    init_default_scope('mmdet')
    model = MODELS.build(load_config(f'lvt_dense::{DETECTOR}.py').model)
    state = {
        key: filled(key, value.shape)
        for key, value in rename(LAYOUTS[0], model.state_dict()).items()
        if not key.endswith('num_batches_tracked')
    }
    folder = tmp_path / 'mirror'
    folder.mkdir()
    torch.save(state, folder / f'{DETECTOR}.pt')
    monkeypatch.setenv('LVT_DENSE_MIRROR', str(folder))
    monkeypatch.setenv('LVT_DENSE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('LVT_DENSE_PRETRAINED', raising=False)
    return folder


def test_a_published_detector_is_loaded_whole(
    cfg: Config, mirror: Path
) -> None:
    before = cfg.pretty_text
    start = find_start(cfg)
    assert start.is_pretrained
    assert start.weights.startswith(f'all weights of {DETECTOR} by ml-cvnets')
    use_start(cfg, start)
    # The training finds it by itself, as the plan did.
    assert cfg.pretty_text == before


def test_what_the_command_says(cfg: Config, mirror: Path) -> None:
    none = find_start(cfg, start='none')
    assert none == PlannedStart('none', 'as --start says')
    assert not none.is_pretrained
    file = str(mirror / f'{DETECTOR}.pt')
    whole = PlannedStart(file, 'as --start says', is_whole=True)
    assert find_start(cfg, start=file) == whole
    assert find_start(cfg, 'official').reason == 'as --pretrained says'


def test_random_weights_are_written_into_the_config(cfg: Config) -> None:
    use_start(cfg, find_start(cfg, start='none'))
    assert cfg.model.backbone.init_cfg is None


def test_contradictions_end_the_plan(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='--start none, but --pretrained'):
        find_start(cfg, 'official', 'none')
    with pytest.raises(UserError, match='no_such_model'):
        find_start(cfg, start='no_such_model')


@pytest.mark.parametrize(
    ('options', 'is_high'),
    [
        (dict(pretrained='official'), True),
        (dict(kept=dict(start='none')), True),
        (dict(kept=dict(start='FILE')), False),
    ],
)
def test_rate_follows_the_head(
    options: dict[str, Any], is_high: bool, mirror: Path, tmp_path: Path
) -> None:
    """A head with random weights needs the higher rate, as measured."""
    data = own_data.write_voc(tmp_path, own_data.make_shots(6))
    if options.get('kept') == dict(start='FILE'):
        options = dict(kept=dict(start=str(mirror / f'{DETECTOR}.pt')))
    request = Request(str(data), task='detection', goal='cpu', **options)
    planner = Planner(request)
    planner._choose_recipe()
    usual = planner.cfg.optim_wrapper.optimizer.lr
    planner._choose_start()
    rate = planner.cfg.optim_wrapper.optimizer.lr
    assert planner.recipe and planner.recipe.scratch_lr
    high = planner.recipe.scratch_lr[0]
    assert rate == (high if is_high else usual) and high != usual
