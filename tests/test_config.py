"""Configs by path and package, options, another data root."""

from pathlib import Path

import pytest
from mmengine.config import Config

from lvt_dense.config import (
    dataset_cfgs,
    default_hooks,
    load_config,
    set_data_root,
)
from lvt_dense.utils.errors import UserError

NAME = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'


def test_own_config_by_package_name() -> None:
    cfg = load_config(NAME)
    assert cfg.model.backbone == dict(
        type='lvt_dense.MobileViT',
        arch='xxs',
        out_indices=(2, 3),
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    )


def test_suffix_may_be_left_out_and_other_packages_work() -> None:
    assert load_config(NAME[: -len('.py')]).model.bbox_head.num_classes == 80
    cfg = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco')
    assert cfg.model.type == 'RetinaNet'


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('lvt_dense::ssdlite_mobilevit_xx_320_coco.py', NAME.split('::')[1]),
        ('nowhere/none.py', 'does not exist'),
        ('no_such_package::a.py', "'no_such_package' is not installed"),
    ],
)
def test_unknown_config_is_named(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_config(name)


def test_config_that_does_not_parse(tmp_path: Path) -> None:
    path = tmp_path / 'broken.py'
    path.write_text('model = dict(')
    with pytest.raises(UserError, match='broken.py does not load'):
        load_config(str(path))


def test_options_reach_the_config() -> None:
    cfg = load_config(NAME, {'train_dataloader.batch_size': 3})
    assert cfg.train_dataloader.batch_size == 3


def test_unknown_option_offers_near_names() -> None:
    with pytest.raises(UserError, match='train_dataloader'):
        load_config(NAME, {'train_dataloder.batch_size': 3})


def test_options_leave_the_given_config_alone() -> None:
    cfg = load_config(NAME)
    load_config(cfg, {'train_dataloader.batch_size': 3})
    assert cfg.train_dataloader.batch_size == 32


def test_data_root_moves_loaders_and_evaluators() -> None:
    cfg = load_config(NAME)
    set_data_root(cfg, '/else')
    for split in ('train', 'val', 'test'):
        (dataset,) = dataset_cfgs(cfg, split)
        assert dataset.data_root == '/else/'
        assert not dataset.ann_file.startswith('/')
    path = '/else/annotations/instances_val2017.json'
    assert cfg.val_evaluator.ann_file == path
    assert cfg.test_evaluator.ann_file == path
    assert cfg.data_root == '/else/'


def test_data_root_reaches_into_wrappers_and_spares_other_paths() -> None:
    inner = dict(type='A', data_root='data/x', ann_file='data/x/list.txt')
    other = dict(type='B', data_root='data/xy')
    cfg = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    type='RepeatDataset',
                    dataset=dict(type='ConcatDataset', datasets=[inner]),
                )
            ),
            val_dataloader=dict(dataset=dict(inner, keep='data/xylophone')),
        )
    )
    set_data_root(cfg, 'new')
    (dataset,) = dataset_cfgs(cfg, 'train')
    assert dataset.ann_file == 'new/list.txt'
    assert cfg.val_dataloader.dataset.keep == 'data/xylophone'
    assert other['data_root'] == 'data/xy'


def test_config_without_data_root() -> None:
    with pytest.raises(UserError, match='names no data_root'):
        set_data_root(Config(dict(model=dict())), 'new')


def test_every_config_of_ours_loads() -> None:
    folder = Path(__file__).parents[1] / 'configs'
    names = sorted(folder.glob('*.py'))
    assert len(names) >= 4
    for name in names:
        assert 'model' in load_config(str(name))
        assert name.read_text().startswith('# '), f'{name} lacks a header'


def test_hooks_of_a_config_without_any_are_kept() -> None:
    cfg = Config(dict(model=dict()))
    default_hooks(cfg)['timer'] = dict(type='IterTimerHook')
    default_hooks(cfg).timer['interval'] = 3
    assert cfg.default_hooks.timer == dict(type='IterTimerHook', interval=3)
