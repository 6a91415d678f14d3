"""What the choices of a plan change in a config."""

from pathlib import Path

import pytest
from helpers.schedules import play
from mmengine.config import Config

from lvt_dense.config import dataset_cfgs, load_config
from lvt_dense.engine.schedules import averaging_hooks
from lvt_dense.planning import fit
from lvt_dense.planning.recipes import RECIPES, Recipe
from lvt_dense.swap import write_config

IMAGES, UPDATES = 200, 700


@pytest.fixture(params=RECIPES, ids=lambda r: r.config.split('::')[1])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return request.param


def planned(recipe: Recipe, updates: int = UPDATES) -> Config:
    cfg = load_config(recipe.config, dict(recipe.options))
    fit.set_size(cfg, recipe.sizes[1])
    if recipe.scratch_lr is not None:
        fit.set_scratch_rate(cfg, *recipe.scratch_lr)
    fit.set_length(cfg, IMAGES, 4, updates, 5)
    fit.set_average(cfg, updates)
    fit.set_time_limit(cfg, 3, 4.2, 5000)
    return cfg


def test_written_file_loads_as_what_was_planned(
    recipe: Recipe, tmp_path: Path
) -> None:
    cfg = planned(recipe)
    file = tmp_path / 'work' / 'mine.py'
    write_config(cfg, recipe.config, str(file), 'why\n\nand how')
    again = load_config(str(file))
    assert again.to_dict() == cfg.to_dict()
    text = file.read_text()
    assert text.startswith('# why\n#\n# and how\n_base_ = [')
    assert max(map(len, text.splitlines())) < 80


def test_schedule_is_short_in_warm_up_and_ends_low(recipe: Recipe) -> None:
    cfg = planned(recipe)
    assert cfg.train_cfg == dict(
        type='IterBasedTrainLoop', max_iters=UPDATES, val_interval=140
    )
    rates = [groups[0] for groups in play(cfg, UPDATES)]
    peak = max(rates)
    assert rates[-1] < 0.06 * peak
    if recipe.task != 'mono3d':  # whose rate rises for two fifths
        assert rates.index(peak) <= 0.1 * UPDATES
    saving = cfg.default_hooks.checkpoint
    assert (saving.by_epoch, saving.interval) == (False, 140)
    assert cfg.log_processor.by_epoch is False


def test_sizes_of_all_pipelines_follow(recipe: Recipe) -> None:
    cfg = load_config(recipe.config)
    before = list(_sizes(cfg))
    own = fit.find_size(cfg)
    fit.set_size(cfg, recipe.sizes[1])
    assert fit.find_size(cfg) == recipe.sizes[1]
    after = list(_sizes(cfg))
    assert len(before) == len(after)
    for old, new in zip(before, after):
        assert new == pytest.approx(old * recipe.sizes[1] / own, abs=16)


def _sizes(cfg: Config) -> list[int]:
    return [
        side
        for split in ('train', 'val', 'test')
        for part in dataset_cfgs(cfg, split)
        for step in part.pipeline
        for key in ('scale', 'crop_size', 'img_scale', 'size')
        for side in step.get(key, ())
    ]


@pytest.mark.parametrize('recipe', RECIPES[:2], ids=lambda r: r.title)
def test_short_trainings_do_not_average(recipe: Recipe) -> None:
    """What is left averages over the last tenth of the updates."""
    short, long = planned(recipe, 299), planned(recipe, 300)
    assert not list(averaging_hooks(short))
    (hook,) = averaging_hooks(long)
    assert (hook.ema_type, hook.gamma) == ('MomentumAnnealingEMA', 10)


def test_later_pipeline_of_a_recipe_is_used_from_the_beginning() -> None:
    cfg = load_config('lvt_dense::rtmdet_emo_1m_coco.py')
    (line,) = fit.set_length(cfg, IMAGES, 4, UPDATES, 5)
    assert 'PipelineSwitchHook: the augmentation that it switches to' in line
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert 'lvt_dense.CachedMosaic' not in kinds and 'RandomCrop' in kinds


def test_time_limit_of_an_earlier_plan_is_dropped() -> None:
    cfg = planned(RECIPES[0])
    fit.drop_time_limit(cfg)
    assert cfg.default_hooks.param_scheduler == dict(type='ParamSchedulerHook')
