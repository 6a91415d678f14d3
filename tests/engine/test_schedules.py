"""Recipes fitted to other lengths, batches and data sets."""

import inspect
from pathlib import Path

import pytest
from helpers.schedules import play
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, MODELS
from torch import nn

from lvt_dense.engine.schedules import (
    averaging_hooks,
    count_images,
    fit_recipe,
    scale_lr,
)
from lvt_dense.utils.errors import UserError

BASE = Path(__file__).parents[2] / 'configs' / '_base_' / 'schedules'


def recipe(name: str, batch_size: int = 32) -> Config:
    """A schedule of ours, and nothing else but the size of a batch."""
    cfg = Config.fromfile(BASE / f'{name}.py')
    cfg.train_dataloader = dict(batch_size=batch_size)
    return cfg


def written(**changes: object) -> Config:
    """A recipe of 200 epochs written down here."""
    parts = dict(
        train_cfg=dict(max_epochs=200, val_interval=10),
        train_dataloader=dict(batch_size=16),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        auto_scale_lr=dict(base_batch_size=128),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=500),
            dict(type='CosineAnnealingLR', eta_min=1e-3, T_max=200, end=200),
        ],
    )
    return Config(parts | changes)


def rates_of(cfg: Config, images: int) -> list[float]:
    loop = cfg.train_cfg
    steps = -(-images // cfg.train_dataloader.batch_size)
    iters = loop.get('max_iters') or loop.max_epochs * steps
    return [groups[0] for groups in play(cfg, iters, steps)]


@DATASETS.register_module()
class ListedDataset(BaseDataset):
    """MMEngine's own data set, under a name."""


SCHEDULES = sorted(path.stem for path in BASE.glob('*.py'))


@pytest.mark.parametrize('name', SCHEDULES)
def test_small_run_warms_up_early_and_ends_at_its_end_value(name: str) -> None:
    cfg = recipe(name)
    before = recipe(name)
    lines = fit_recipe(cfg, 300, epochs=20)
    rates = rates_of(cfg, 300)
    iters = len(rates) - 1
    assert iters in (188, 200)  # batches of 32, the last one short or not
    assert lines[0].startswith('run: 20 epochs of 300 images')
    peak = cfg.optim_wrapper.optimizer.lr
    assert peak == before.optim_wrapper.optimizer.lr
    last = [
        item
        for item in cfg.param_scheduler
        if 'momentum' not in item.type.lower()
    ][-1]
    end = last.get('eta_min', peak * last.get('eta_min_ratio', 0.0))
    if 'milestones' in last:
        end = peak * last.gamma ** len(last.milestones)
    top = max(rates)
    assert rates[-1] == pytest.approx(end, abs=5e-4 * top)
    assert rates[-2] == pytest.approx(end, abs=0.02 * top)
    warm = before.param_scheduler[0]
    if warm.get('start_factor', 1) < 1:
        first = rates.index(top)
        assert first <= 0.1 * iters
        assert rates[0] == pytest.approx(warm.start_factor * peak, rel=0.01)


@pytest.mark.parametrize('name', SCHEDULES)
def test_average_follows_a_short_training(name: str) -> None:
    """Weights that move steadily: how many updates the average lags behind."""
    cfg = recipe(name)
    fit_recipe(cfg, 300, epochs=20)
    for hook in averaging_hooks(cfg):
        model = nn.Linear(1, 1)
        settings = dict(hook, device=None)
        kind = MODELS.get(settings.pop('ema_type'))
        names = inspect.signature(kind).parameters
        average = kind(
            model, **{k: v for k, v in settings.items() if k in names}
        )
        for update in range(1, 189):
            nn.init.constant_(model.weight, update)
            average.update_parameters(model)
            if update % 47 == 0:  # a quarter of the run
                lag = update - float(average.module.weight)
                assert 0 < lag < 0.15 * update + 1, update


def test_average_of_a_long_training_is_that_of_the_recipe() -> None:
    cfg = recipe('ssdlite_mobilevit_200e', batch_size=128)
    (own,) = averaging_hooks(cfg)
    own = dict(own)
    fit_recipe(cfg, 118_000, epochs=100)
    (hook,) = averaging_hooks(cfg)
    assert hook.momentum == own['momentum']
    updates = 118_000 * 100 // 128
    assert hook.gamma / (hook.gamma + updates) < hook.momentum


@pytest.mark.parametrize(
    'name', [name for name in SCHEDULES if not name.startswith('seg')]
)
def test_shape_is_kept(name: str) -> None:
    """Run half as long, the rates are the same at nine points."""
    long, short = recipe(name), recipe(name)
    epochs = long.train_cfg.max_epochs
    images = 32 * (6_000 // epochs)
    fit_recipe(short, images, epochs=epochs // 2)
    first, second = rates_of(long, images), rates_of(short, images)
    # The recipe's rate may move once an epoch.
    tolerance = (0.03 + 1.6 / epochs) * max(first)
    for tenth in range(2, 11):
        a = first[tenth * (len(first) - 1) // 10]
        b = second[tenth * (len(second) - 1) // 10]
        assert b == pytest.approx(a, abs=tolerance)


def test_same_epochs_leave_what_is_counted_in_epochs() -> None:
    cfg = written()
    cosine = dict(cfg.param_scheduler[1])
    fit_recipe(cfg, 118_000, batch_size=16)
    assert dict(cfg.param_scheduler[1], eta_min=0) == dict(cosine, eta_min=0)
    assert cfg.param_scheduler[0].end == 500
    assert cfg.train_cfg == dict(max_epochs=200, val_interval=10)


def test_warm_up_without_room_is_left_out() -> None:
    cfg = written()
    lines = fit_recipe(cfg, 8, epochs=5)
    assert [item.type for item in cfg.param_scheduler] == ['CosineAnnealingLR']
    assert any('left out' in line for line in lines)


@pytest.mark.parametrize('name', SCHEDULES)
@pytest.mark.parametrize('images', [2, 8, 40])
def test_one_epoch_of_a_few_images(name: str, images: int) -> None:
    cfg = recipe(name, batch_size=4)
    fit_recipe(cfg, images, epochs=1)
    rates = rates_of(cfg, images)
    assert rates
    assert all(0 <= rate < 10 for rate in rates)


@pytest.mark.parametrize(
    ('rule', 'factor'), [('linear', 0.25), ('sqrt', 0.5), (None, 0.25)]
)
def test_learning_rate_follows_the_batch(rule: str, factor: float) -> None:
    scaling = dict(base_batch_size=128)
    if rule:
        scaling['rule'] = rule
    cfg = written(auto_scale_lr=scaling)
    lines = fit_recipe(cfg, 1000, batch_size=16, num_gpus=2)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.1 * factor)
    assert cfg.param_scheduler[1].eta_min == pytest.approx(1e-3 * factor)
    assert lines[-1].startswith('learning rate: 0.1 for a batch of 128')
    assert f'({rule or "linear"})' in lines[-1]


def test_learning_rate_counts_accumulated_batches() -> None:
    cfg = written()
    cfg.optim_wrapper.accumulative_counts = 8
    fit_recipe(cfg, 1000, batch_size=16)
    assert cfg.optim_wrapper.optimizer.lr == 0.1


def test_learning_rate_stays_without_a_new_batch() -> None:
    cfg = written()
    fit_recipe(cfg, 1000, epochs=3)
    assert cfg.optim_wrapper.optimizer.lr == 0.1


def test_momentum_is_no_learning_rate() -> None:
    cfg = recipe('monocon_200e', 8)
    values = [
        item.eta_min for item in cfg.param_scheduler if 'eta_min' in item
    ]
    cfg.auto_scale_lr = dict(base_batch_size=16)
    scale_lr(cfg, 8)
    assert values == [
        item.eta_min for item in cfg.param_scheduler if 'eta_min' in item
    ]


def test_iterations_see_as_many_images_with_another_batch() -> None:
    cfg = recipe('seg_adamw_80k', 8)  # meant for 32 in all
    fit_recipe(cfg, 20_210, batch_size=4)
    assert cfg.train_cfg == dict(
        type='IterBasedTrainLoop', max_iters=640_000, val_interval=64_000
    )
    assert cfg.param_scheduler[0].end == 640_000


def test_epochs_become_iterations() -> None:
    cfg = recipe('seg_adamw_80k', 8)
    cfg.default_hooks = dict(
        checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=8000)
    )
    fit_recipe(cfg, 300, epochs=20)
    assert cfg.train_cfg.max_iters == 750
    assert cfg.train_cfg.val_interval == 75
    assert cfg.default_hooks.checkpoint.interval == 75


def test_milestones_switches_and_intervals_move() -> None:
    cfg = written(
        train_cfg=dict(
            max_epochs=300, val_interval=10, dynamic_intervals=[(280, 1)]
        ),
        param_scheduler=[
            dict(type='MultiStepLR', milestones=[200, 250], end=300),
            dict(type='ExponentialLR', gamma=0.9, end=300),
        ],
        custom_hooks=[
            dict(type='Switch', switch_epoch=280),
            dict(type='EMAHook', momentum=1e-9, begin_epoch=30),
        ],
    )
    fit_recipe(cfg, 160, epochs=30)
    assert cfg.train_cfg.dynamic_intervals == [(28, 1)]
    steps, fading = cfg.param_scheduler
    assert steps.milestones == [200, 250]  # of 300 iterations
    assert fading.gamma == pytest.approx(0.9)
    assert cfg.custom_hooks[0].switch_epoch == 28
    assert cfg.custom_hooks[1].begin_epoch == 3


def test_average_spans_as_many_images_with_another_batch() -> None:
    cfg = written(custom_hooks=[dict(type='EMAHook', momentum=0.001)])
    fit_recipe(cfg, 118_000, batch_size=32)
    expected = 1 - (1 - 0.001) ** (32 / 128)
    assert cfg.custom_hooks[0].momentum == pytest.approx(expected)


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (dict(epochs=0), '--epochs 0'),
        (dict(batch_size=-1), '--batch-size -1'),
        (dict(batch_size=16), 'a batch of 16 is more than the 10'),
    ],
)
def test_impossible_sizes(given: dict, words: str) -> None:
    cfg = written()
    cfg.train_dataloader.drop_last = True
    with pytest.raises(UserError, match=words):
        fit_recipe(cfg, 10, **given)


def test_unknown_rule() -> None:
    cfg = written(auto_scale_lr=dict(base_batch_size=1, rule='cubic'))
    with pytest.raises(UserError, match='linear, sqrt'):
        scale_lr(cfg, 2)


def test_images_are_counted_as_the_data_set_counts(tmp_path: Path) -> None:
    cfg = Config(
        dict(
            train_dataloader=dict(
                batch_size=1,
                dataset=dict(
                    type='RepeatDataset',
                    times=3,
                    dataset=dict(
                        type='ListedDataset',
                        data_prefix=dict(),
                        ann_file=str(tmp_path / 'list.json'),
                        pipeline=[dict(type='DoesNotExist')],
                    ),
                ),
            )
        )
    )
    text = '{"metainfo": {}, "data_list": [{"a": 1}, {"a": 2}]}'
    (tmp_path / 'list.json').write_text(text)
    assert count_images(cfg) == 6
    assert cfg.train_dataloader.dataset.dataset.pipeline
    cfg.val_dataloader = dict(
        dataset=cfg.train_dataloader.dataset.dataset.to_dict()
    )
    assert count_images(cfg, 'val') == 2
    (tmp_path / 'list.json').write_text('{"metainfo": {}, "data_list": []}')
    for split in ('train', 'val'):
        with pytest.raises(UserError, match=f'the {split} data.* no image'):
            count_images(cfg, split)
