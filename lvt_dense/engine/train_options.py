"""What the options of ``lvt-dense train`` change in a config."""

import inspect
from importlib.util import find_spec
from typing import Any

import torch
from mmengine import device as mm_device
from mmengine.config import Config
from mmengine.registry import METRICS

from lvt_dense.config import default_hooks, evaluators
from lvt_dense.engine.augment import use_augment
from lvt_dense.engine.balance import use_balance
from lvt_dense.engine.exact_resume import use_exact_resume
from lvt_dense.engine.hooks.finite_loss_hook import parse_on_nan
from lvt_dense.engine.multi_scale import use_multi_scale
from lvt_dense.engine.schedules import (
    base_batch_size,
    count_images,
    fit_recipe,
    scale_lr,
)
from lvt_dense.utils.config_class import find_class, lookup_class
from lvt_dense.utils.dist import count_processes
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.optional import import_optional

# By name: MMEngine's backend, and the packages of which one must be there.
_LOGS = dict(
    tensorboard=('TensorboardVisBackend', ('tensorboard', 'tensorboardX')),
    wandb=('WandbVisBackend', ('wandb',)),
)
LOGS = tuple(_LOGS)
# What MMSegmentation's IoU reports for each of its ``iou_metrics``.
_MEANS = dict(
    mIoU=('mIoU', 'mAcc'),
    mDice=('mDice', 'mAcc'),
    mFscore=('mFscore', 'mPrecision', 'mRecall'),
)
# Parts of the names of metrics of which more is better, in lower case.
_GREATER = (
    *('ap', 'ar@', 'iou', 'dice', 'acc', 'fscore', 'precision', 'recall'),
    *('auc', 'top', 'kitti', 'pq', 'f1'),
)


def apply_options(
    cfg: Config,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    multi_scale: bool = False,
    auto_scale_lr: bool = False,
    amp: bool | str | None = None,
    device: str | None = None,
    augment: str | None = None,
    balance: bool = False,
    **settings: Any,
) -> list[str]:
    """Change a config as the options of the command ask for.

    Args:
        cfg: Config; changed in place. Its data are there.
        epochs: Passes through the training set; the whole recipe follows.
        batch_size: Images a process and iteration; the whole recipe follows.
        multi_scale: Vary the image size, see :mod:`.multi_scale`.
        auto_scale_lr: Scale the learning rate, see :func:`use_auto_scale_lr`.
        amp: Mixed precision, ``fp16`` (also True) or ``bf16``, see
            :func:`use_amp`.
        device: ``cpu``, ``cuda`` or ``cuda:N``; by default the fastest.
        augment: Preset, see :func:`.augment.use_augment`.
        balance: Draw rare classes more often, see
            :func:`.balance.use_balance`.
        **settings: See :func:`use_settings`.

    Returns:
        What changed in the recipe, in lines for the log.

    Raises:
        UserError: An option does not fit the config or the machine.
    """
    if device:
        use_device(device)
    changes = use_augment(cfg, augment) if augment else []
    changes += use_balance(cfg) if balance else []
    changes += use_length(cfg, epochs, batch_size, auto_scale_lr)
    changes += use_multi_scale(cfg) if multi_scale else []
    if amp:
        changes += use_amp(cfg, 'fp16' if amp is True else amp)
    use_settings(cfg, **settings)
    return changes


def use_settings(
    cfg: Config,
    *,
    compile: bool = False,
    workers: int | None = None,
    seed: int | None = None,
    log: str | None = None,
    per_class: bool = False,
    patience: int | None = None,
    on_nan: str | None = None,
    exact_resume: bool = False,
) -> None:
    """Set what leaves the recipe as it is.

    Args:
        cfg: Config; changed in place.
        compile: Compile backbone and neck, see
            :class:`lvt_dense.engine.hooks.CompileHook`.
        workers: Processes that load data, see :func:`use_workers`.
        seed: Seed of all random numbers.
        log: ``tensorboard`` or ``wandb``, besides the log files.
        per_class: Log the metrics of every class.
        patience: Stop early, see :func:`use_patience`.
        on_nan: ``stop`` or ``skip:N``, see :func:`use_on_nan`.
        exact_resume: See :func:`.exact_resume.use_exact_resume`.

    Raises:
        UserError: A setting does not fit the config or the machine.
    """
    for is_wanted, switch_on in (
        (compile, use_compile),
        (per_class, use_per_class),
        (exact_resume, use_exact_resume),
    ):
        if is_wanted:
            switch_on(cfg)
    for value, use in (
        (workers, use_workers),
        (seed, use_seed),
        (log, use_log),
        (patience, use_patience),
        (on_nan, use_on_nan),
    ):
        if value is not None:
            use(cfg, value)


def use_length(
    cfg: Config,
    epochs: int | None,
    batch_size: int | None,
    auto_scale_lr: bool = False,
) -> list[str]:
    """Fit the schedule of a config, see :mod:`lvt_dense.engine.schedules`.

    Args:
        cfg: Config; changed in place.
        epochs: Passes through the training set; None keeps the config's.
        batch_size: Images a process and iteration; None keeps the config's.
        auto_scale_lr: Scale the learning rate, which ``batch_size`` does in
            any case.

    Returns:
        Lines for the log; none where nothing changes.
    """
    if epochs is not None or batch_size is not None:
        changes = fit_recipe(
            cfg,
            count_images(cfg),
            epochs,
            batch_size,
            count_processes(cfg.get('launcher', 'none')),
        )
    else:
        changes = []
    if auto_scale_lr and batch_size is None:
        changes += use_auto_scale_lr(cfg)
    return changes


def use_auto_scale_lr(cfg: Config) -> list[str]:
    """Scale the learning rate to the batch that the processes make together.

    Raises:
        UserError: The config does not say for which batch its rate is meant.
    """
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError(
            '--auto-scale-lr: the config lacks auto_scale_lr.base_batch_size; '
            'set it with --cfg-options auto_scale_lr.base_batch_size=N'
        )
    own = Config(dict(cfg.to_dict(), auto_scale_lr=None))
    return scale_lr(
        cfg, base_batch_size(own, count_processes(cfg.get('launcher', 'none')))
    )


def use_amp(cfg: Config, kind: str) -> list[str]:
    """Train in mixed precision.

    Args:
        cfg: Config; changed in place.
        kind: ``fp16``, which needs a GPU, or ``bf16``.

    Returns:
        Lines for the log.

    Raises:
        UserError: The device does not have it, or the config asks for
            another optimizer wrapper.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') not in (
        'OptimWrapper',
        'AmpOptimWrapper',
    ):
        raise UserError(
            f'--amp does not work with optim_wrapper.type={wrapper.type!r}'
        )
    is_cpu = mm_device.get_device() == 'cpu'
    if kind == 'bf16':
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
        wrapper.type = 'lvt_dense.Bf16OptimWrapper'
        if is_cpu and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return ['--amp bf16: this CPU has no bfloat16, so it is slower']
        return []
    if kind != 'fp16':
        raise UserError(f'--amp {kind}: choose fp16 or bf16')
    if is_cpu or not torch.cuda.is_available():
        raise UserError(
            '--amp needs a GPU, and this run has none: leave it out, or use '
            '--amp bf16'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')
    return []


def use_compile(cfg: Config) -> None:
    """Compile backbone and neck while they train."""
    hook = dict(type='lvt_dense.CompileHook')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def use_workers(cfg: Config, workers: int) -> None:
    """Set the worker processes of every data loader; 0 loads in this one.

    Raises:
        UserError: A number below 0.
    """
    if workers < 0:
        raise UserError(f'--workers {workers}: must be at least 0')
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.num_workers = workers
            if not workers:
                loader.persistent_workers = False
                loader.pop('prefetch_factor', None)


def use_seed(cfg: Config, seed: int) -> None:
    """Set the seed of all random numbers."""
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)


def use_device(device: str) -> None:
    """Train on a device: ``cpu``, ``cuda``, ``cuda:1`` and so on.

    Raises:
        UserError: This machine has no such device.
    """
    kind, _, index = device.partition(':')
    known = {'cpu', mm_device.utils.DEVICE}
    if torch.cuda.is_available():
        known.add('cuda')
    if torch.backends.mps.is_available():
        known.add('mps')
    count = torch.cuda.device_count() if kind == 'cuda' else 1
    wrong_index = index and not (index.isdigit() and int(index) < count)
    if kind not in known or wrong_index:
        raise UserError(
            f'--device {device}: this machine has {", ".join(sorted(known))}'
            + (f' (0 to {count - 1})' if wrong_index else '')
        )
    mm_device.utils.DEVICE = kind  # what the Runner asks for
    if kind == 'cuda' and index:
        torch.cuda.set_device(int(index))


def use_log(cfg: Config, log: str) -> None:
    """Send losses and metrics to TensorBoard or Weights & Biases as well.

    Raises:
        UserError: The package cannot be imported.
    """
    backend, packages = _LOGS[log]
    installed = [package for package in packages if find_spec(package)]
    package = (installed or packages)[0]
    import_optional(package, f'--log {log}', package=package)
    cfg.visualizer = dict(cfg.get('visualizer') or dict(type='Visualizer'))
    backends = list(cfg.visualizer.get('vis_backends') or [])
    backends = backends or [dict(type='LocalVisBackend')]
    if all(item['type'] != backend for item in backends):
        backends.append(dict(type=backend))
    cfg.visualizer.vis_backends = cfg.vis_backends = backends


def use_per_class(cfg: Config) -> None:
    """Log the metrics of every class as well.

    MMSegmentation's IoU and KITTI's metric list the classes in any case.
    """
    for split in ('val', 'test'):
        found = cfg.get(f'{split}_evaluator')
        if not found:
            continue
        metrics = evaluators(cfg, split)
        for metric in metrics:
            if _accepts(cfg, metric, 'classwise'):
                metric['classwise'] = True
        cfg[f'{split}_evaluator'] = (
            metrics[0] if isinstance(found, dict) else metrics
        )


def use_patience(cfg: Config, patience: int) -> None:
    """Stop when no validation in a row was better than the best so far.

    Args:
        cfg: Config; changed in place. The metric is the one by which the
            best checkpoint is kept.
        patience: Number of validations in a row.

    Raises:
        UserError: A number below 1, or there is no validation.
    """
    if patience < 1:
        raise UserError(f'--patience {patience}: must be at least 1')
    if cfg.get('val_cfg') is None:
        raise UserError('--patience: the config has no validation')
    saving = cfg.get('default_hooks', {}).get('checkpoint') or {}
    monitor = saving.get('save_best') or 'auto'
    hook = dict(
        type='lvt_dense.PatienceHook',
        monitor=monitor[0] if isinstance(monitor, list) else monitor,
        patience=patience,
    )
    if saving.get('rule'):
        hook['rule'] = saving['rule']
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def fit_saving(cfg: Config) -> list[str]:
    """Keep the best checkpoint by a metric that is measured.

    Args:
        cfg: Config; changed in place. MMEngine knows of a few metrics alone
            that more is better; here it is so of all but losses.

    Returns:
        What changed, in a line for the log.
    """
    saving = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = saving.get('save_best')
    if not best:
        return []
    if not saving.get('rule') and not saving.get('less_keys'):
        saving.setdefault('greater_keys', list(_GREATER))
    measured = _segmentation_metrics(cfg)
    if not isinstance(best, str) or best not in _MEANS or best in measured:
        return []
    if not measured:
        return []
    saving['save_best'] = measured[0]
    return [
        f'the best checkpoint is chosen by {measured[0]}, for {best} is not '
        'measured'
    ]


def _segmentation_metrics(cfg: Config) -> list[str]:
    """Name what the evaluators measure, if all are MMSegmentation's IoU."""
    from mmseg.evaluation import IoUMetric

    names: list[str] = []
    for metric in evaluators(cfg, 'val'):
        kind = lookup_class(METRICS, metric, cfg.get('default_scope'))
        if not inspect.isclass(kind) or not issubclass(kind, IoUMetric):
            return []
        for name in metric.get('iou_metrics') or ['mIoU']:
            names += _MEANS.get(name, (name,))
    return [*names, 'aAcc'] if names else []


def _accepts(cfg: Config, item: Any, name: str) -> bool:
    """Whether the class that a part of a config names has an argument."""
    kind = find_class(METRICS, item, cfg.get('default_scope'))
    return any(
        name in inspect.signature(base.__init__).parameters
        for base in inspect.getmro(kind)
    )


def use_on_nan(cfg: Config, on_nan: str) -> None:
    """Watch the loss, see :class:`lvt_dense.engine.hooks.FiniteLossHook`.

    Args:
        cfg: Config; changed in place.
        on_nan: ``stop`` or ``skip:N``.

    Raises:
        UserError: It is neither.
    """
    parse_on_nan(on_nan)
    hooks = default_hooks(cfg)
    hooks['finite_loss'] = dict(type='lvt_dense.FiniteLossHook', on_nan=on_nan)
