"""The options of training, each as a change of the config."""

import sys
from types import ModuleType

import pytest
import torch
from mmengine import device as mm_device
from mmengine.config import Config
from mmengine.registry import HOOKS

from lvt_dense.config import load_config
from lvt_dense.engine.hooks import PatienceHook
from lvt_dense.engine.train_options import apply_options, fit_saving
from lvt_dense.utils.errors import UserError


def config(**parts: object) -> Config:
    """The parts of a config that options change."""
    return Config(
        dict(
            train_dataloader=dict(
                batch_size=2,
                num_workers=4,
                persistent_workers=True,
                prefetch_factor=2,
            ),
            val_dataloader=dict(num_workers=4, persistent_workers=True),
            val_evaluator=dict(type='lvt_dense.CocoMetric'),
            test_evaluator=[
                dict(type='lvt_dense.CocoMetric'),
                dict(type='mmseg.IoUMetric'),
            ],
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        )
        | parts
    )


def test_nothing_changes_without_options() -> None:
    cfg = config()
    assert apply_options(cfg) == []
    assert cfg.to_dict() == config().to_dict()


def test_workers() -> None:
    cfg = config()
    apply_options(cfg, workers=2)
    assert cfg.train_dataloader.num_workers == 2
    assert cfg.val_dataloader.num_workers == 2
    assert cfg.train_dataloader.persistent_workers
    apply_options(cfg, workers=0)
    assert cfg.train_dataloader == dict(
        batch_size=2, num_workers=0, persistent_workers=False
    )


def test_seed_keeps_the_rest_of_randomness() -> None:
    cfg = config(randomness=dict(deterministic=True))
    apply_options(cfg, seed=7)
    assert cfg.randomness == dict(deterministic=True, seed=7)


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mm_device.utils, 'DEVICE', 'cuda')
    apply_options(config(), device='cpu')
    assert mm_device.get_device() == 'cpu'


@pytest.mark.parametrize(
    ('device', 'words'),
    [('gpu', 'this machine has cpu'), ('cpu:x', '0 to 0')],
)
def test_unknown_device(device: str, words: str) -> None:
    if torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    with pytest.raises(UserError, match=words):
        apply_options(config(), device=device)


def test_log_goes_to_tensorboard_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType('tensorboard')
    module.__spec__ = object()
    monkeypatch.setitem(sys.modules, 'tensorboard', module)
    cfg = config()
    for _ in range(2):
        apply_options(cfg, log='tensorboard')
        kinds = [item.type for item in cfg.visualizer.vis_backends]
        assert kinds == ['LocalVisBackend', 'TensorboardVisBackend']


def test_missing_package_of_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'wandb', None)
    with pytest.raises(UserError, match='pip install wandb'):
        apply_options(config(), log='wandb')


def test_classes_are_asked_of_metrics_that_know_them() -> None:
    cfg = config(default_scope='mmdet')
    apply_options(cfg, per_class=True)
    assert cfg.val_evaluator.classwise
    assert cfg.test_evaluator[0].classwise
    assert 'classwise' not in cfg.test_evaluator[1]


@pytest.mark.parametrize(
    ('saving', 'monitor', 'rule'),
    [
        (dict(save_best='mIoU'), 'mIoU', 'greater'),
        (dict(save_best='auto'), 'auto', 'greater'),
        (dict(save_best=['a', 'b'], rule='less'), 'a', 'less'),
        (dict(), 'auto', 'greater'),
    ],
)
def test_patience_watches_the_metric_of_the_best_checkpoint(
    saving: dict, monitor: str, rule: str
) -> None:
    cfg = config(default_hooks=dict(checkpoint=saving))
    apply_options(cfg, patience=3)
    (hook,) = cfg.custom_hooks
    assert hook.pop('type') == 'lvt_dense.PatienceHook'
    built = PatienceHook(**hook)
    assert (built.monitor, built.rule, built.patience) == (monitor, rule, 3)


class Stopping:
    """As much of a runner as early stopping reads."""

    def __init__(self) -> None:
        self.train_loop = self.logger = self
        self.stop_training = False

    def info(self, text: str) -> None:
        """Take a line of the log."""


def test_patience_stops_after_so_many_validations() -> None:
    hook, runner = PatienceHook(patience=2), Stopping()
    seen = []
    for value in (0.1, 0.2, 0.2 + 1e-9, 0.3, 0.3, 0.1):
        hook.after_val_epoch(runner, {'mAP': value, 'other': -value})
        seen.append(runner.stop_training)
    assert hook.monitor == 'mAP'
    assert seen == [False, False, False, False, False, True]


def test_learning_rate_follows_the_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('WORLD_SIZE', '4')
    cfg = config(
        launcher='pytorch', auto_scale_lr=dict(base_batch_size=16, rule='sqrt')
    )
    (line,) = apply_options(cfg, auto_scale_lr=True)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.1 * 0.5**0.5)
    assert 'for a batch of 16 -> 0.0707107 for 8 (sqrt)' in line


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(workers=-1), '--workers -1'),
        (dict(patience=0), '--patience 0'),
        (dict(auto_scale_lr=True), 'lacks auto_scale_lr.base_batch_size'),
    ],
)
def test_options_that_do_not_fit(options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        apply_options(config(), **options)


def test_patience_needs_a_validation() -> None:
    with pytest.raises(UserError, match='no validation'):
        apply_options(config(val_cfg=None), patience=1)


def test_on_nan() -> None:
    cfg = Config(dict(default_hooks=dict(timer=dict(type='IterTimerHook'))))
    apply_options(cfg, on_nan='skip:2')
    assert cfg.default_hooks.finite_loss == dict(
        type='lvt_dense.FiniteLossHook', on_nan='skip:2'
    )
    with pytest.raises(UserError, match='--on-nan skip: give stop, or'):
        apply_options(cfg, on_nan='skip')


def test_bf16_needs_no_gpu_and_no_scale_of_the_loss() -> None:
    wrapper = dict(
        type='AmpOptimWrapper',
        loss_scale='dynamic',
        dtype='float16',
        optimizer=dict(type='SGD', lr=0.1),
    )
    cfg = config(optim_wrapper=wrapper)
    apply_options(cfg, amp='bf16')
    assert cfg.optim_wrapper == dict(
        type='lvt_dense.Bf16OptimWrapper', optimizer=wrapper['optimizer']
    )


@pytest.mark.parametrize(
    ('amp', 'words'),
    [(True, 'use --amp bf16'), ('fp16', 'needs a GPU'), ('fp8', 'choose')],
)
def test_precisions_that_are_refused(amp: bool | str, words: str) -> None:
    if torch.cuda.is_available() and amp != 'fp8':
        pytest.skip('this machine has a GPU')
    with pytest.raises(UserError, match=words):
        apply_options(config(), amp=amp)


def test_compile() -> None:
    cfg = config(custom_hooks=[dict(type='A')])
    apply_options(cfg, compile=True)
    kinds = [hook.type for hook in cfg.custom_hooks]
    assert kinds == ['A', 'lvt_dense.CompileHook']


@pytest.mark.parametrize(
    ('measured', 'save_best', 'chosen'),
    [
        (['mDice'], 'mIoU', 'mDice'),
        (['mFscore'], 'mIoU', 'mFscore'),
        (['mFscore'], 'mRecall', 'mRecall'),
        (['mIoU', 'mDice'], 'mIoU', 'mIoU'),
        (None, 'mIoU', 'mIoU'),
    ],
)
def test_best_checkpoint_is_chosen_by_what_is_measured(
    measured: list[str] | None, save_best: str, chosen: str
) -> None:
    cfg = load_config('lvt_dense::pspnet_emo_1m_360_camvid.py')
    cfg.val_evaluator.iou_metrics = measured
    cfg.default_hooks.checkpoint.save_best = save_best
    lines = fit_saving(cfg)
    saving = cfg.default_hooks.checkpoint
    assert saving.save_best == chosen
    assert [f'is chosen by {chosen}, for {save_best}' in x for x in lines] == (
        [True] if chosen != save_best else []
    )
    hook = HOOKS.build(saving)  # which infers what is better
    assert hook.rules == ['greater']
