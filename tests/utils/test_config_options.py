"""Misspelled options get the right name."""

import pytest
from mmengine.config import Config

from lvt_dense.utils.config_options import check_options
from lvt_dense.utils.errors import UserError


def config() -> Config:
    return Config(
        dict(
            train_dataloader=dict(batch_size=2, num_workers=0),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamW', lr=0.1),
                paramwise_cfg=dict(norm_decay_mult=0.0),
            ),
            param_scheduler=[dict(type='CosineAnnealingLR', T_max=10)],
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3),
            custom_hooks=[dict(type='EMAHook', momentum=0.1)],
            model=dict(
                backbone=dict(type='lvt_dense.MobileViT', arch='s'),
                test_cfg=dict(score_thr=0.1),
            ),
        )
    )


@pytest.mark.parametrize(
    ('key', 'right'),
    [
        ('train_dataloader.batchsize', 'batch_size'),
        ('train_dataloader.num_worker', 'num_workers'),
        ('train_dataloder.batch_size', 'train_dataloader'),
        ('optim_wrapper.optimizer.learning_rate', 'lr'),
        ('optim_wrapper.optimizer.weight_dcay', 'weight_decay'),
        ('optim_wraper.clip_grad', 'optim_wrapper'),
        ('train_cfg.max_epoch', 'max_epochs'),
        ('train_cfg.epochs', 'max_epochs'),
        ('param_scheduler.0.t_max', 'T_max'),
        ('model.backbone.out_indexes', 'out_indices'),
        ('model.backbone.drop_path', 'drop_path_rate'),
        ('model.test_cfg.score_th', 'score_thr'),
    ],
)
def test_right_name_is_offered(key: str, right: str) -> None:
    with pytest.raises(UserError, match='did you mean') as error:
        check_options(config(), {key: 1})
    assert right in str(error.value).split('did you mean')[1]
    assert key in str(error.value)


@pytest.mark.parametrize(
    'key',
    [
        'train_dataloader.batch_size',
        'train_dataloader.drop_last',
        'train_dataloader.dataset',
        'optim_wrapper.optimizer.betas',
        'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult',
        'optim_wrapper.paramwise_cfg.bias_decay_mult',
        'param_scheduler.0.eta_min',
        'param_scheduler.3.eta_min',
        'custom_hooks.0.gamma',
        'model.backbone.out_indices',
        'model.backbone._delete_',
        'model.test_cfg.nms_pre',
        'load_from',
        'randomness.seed',
        'auto_scale_lr.enable',
    ],
)
def test_right_names_pass(key: str) -> None:
    check_options(config(), {key: 1})


def test_unknown_name_without_a_near_one() -> None:
    with pytest.raises(UserError, match='it has .*batch_size'):
        check_options(config(), {'train_dataloader.qqq': 1})
