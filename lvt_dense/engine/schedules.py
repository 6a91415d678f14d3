"""Fit a recipe to another length, another batch or a smaller data set.

A recipe states its schedule for one data set and one number of GPUs: epochs
or iterations, warm-up, averaged weights, and a learning rate for a batch.
:func:`fit_recipe` moves all of it at once, and says what it changed.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.optim.scheduler import (
    ConstantParamScheduler,
    ExponentialParamScheduler,
    LinearParamScheduler,
)
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.registry import DATASETS, HOOKS, PARAM_SCHEDULERS, Registry

from lvt_dense.config import dataset_cfgs
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError

# Largest share of warm-up in a run.
WARMUP_SHARE = 0.1
# The average of MMEngine that lags by the same number of updates throughout,
# and the share of the updates so far that one spans instead: 1 / SPAN.
CONSTANT, SPAN = 'ExponentialMovingAverage', 10
RULES: dict[str, Callable[[float], float]] = dict(
    linear=lambda ratio: ratio, sqrt=math.sqrt
)
# Settings of hooks that are epochs or iterations.
EPOCH_KEYS = ('switch_epoch', 'num_last_epochs', 'begin_epoch')
ITER_KEYS = ('switch_iter', 'begin_iter')


@dataclass(frozen=True)
class Length:
    """How long a run is.

    Args:
        epochs: Passes through the data; a fraction for a run that is counted
            in iterations.
        iters: Optimizer steps in all.
        batch: Images of a step, on all GPUs together.
    """

    epochs: float
    iters: int
    batch: int


def count_images(cfg: Config, split: str = 'train') -> int:
    """Count the images of a split, after the data set's own filters.

    Args:
        cfg: Config whose data set is built, without its pipeline.
        split: ``train``, ``val`` or ``test``.

    Raises:
        UserError: There are none.
    """
    cfg = deepcopy(cfg)
    for part in dataset_cfgs(cfg, split):
        part['pipeline'] = []
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as own:
        try:
            count = len(own.build(cfg[f'{split}_dataloader'].dataset))
        except ValueError as error:  # of NumPy, on an empty data set
            if 'at least one array' not in str(error):
                raise
            count = 0
    if not count:
        raise UserError(
            f'the {split} data set has no image with annotations that count; '
            'look at its annotation file and filter_cfg'
        )
    return count


def fit_recipe(
    cfg: Config,
    num_images: int,
    epochs: int | None = None,
    batch_size: int | None = None,
    num_gpus: int = 1,
    iters: int | None = None,
) -> list[str]:
    """Fit schedules, warm-up, averaged weights and learning rate to a run.

    Warm-up keeps its number of iterations and is a tenth of the run at most.
    Everything else keeps its place in the run. Averaged weights span as many
    images as before, but never hold more than a millionth of the first copy
    in the end. With a new batch the learning rate follows
    ``auto_scale_lr.rule``, which is ``linear`` (default) or ``sqrt``, from
    ``auto_scale_lr.base_batch_size``.

    Args:
        cfg: Config; changed in place.
        num_images: Training images, see :func:`count_images`.
        epochs: New number of epochs; by default the recipe's own.
        batch_size: New number of images a GPU and iteration; by default the
            recipe's own, and the learning rate stays as it is.
        num_gpus: Processes that train together.
        iters: Optimizer steps in all, in place of epochs; a loop that counts
            epochs is left to :func:`.iterations.use_iterations`.

    Returns:
        One line for each setting that changed.

    Raises:
        UserError: A number below 1, or more images in a batch than there are.
    """
    for name, value in (('--epochs', epochs), ('--batch-size', batch_size)):
        if value is not None and value < 1:
            raise UserError(f'{name} {value}: must be at least 1')
    base = base_batch_size(cfg, num_gpus)
    if batch_size is not None:
        cfg.train_dataloader.batch_size = batch_size
    batch = cfg.train_dataloader.batch_size * num_gpus * _accumulated(cfg)
    old = _old_length(cfg, base)
    if iters is None:
        new = _new_length(cfg, old, num_images, epochs, num_gpus)
    else:
        new = Length(round(iters * batch / num_images, 2), iters, batch)
    lines = [
        f'run: {new.epochs:g} epochs of {num_images} images, {new.iters} '
        f'iterations of {cfg.train_dataloader.batch_size * num_gpus}'
    ]
    if iters is None or not old.epochs:
        lines += _fit_loop(cfg, old, new)
    lines += _fit_schedulers(cfg, old, new, keep_epochs=iters is None)
    lines += _fit_hooks(cfg, old, new, base)
    if batch_size is not None:
        lines += scale_lr(cfg, batch)
    return lines


def base_batch_size(cfg: Config, num_gpus: int = 1) -> int:
    """Return the total batch size that a learning rate is meant for."""
    scaling = cfg.get('auto_scale_lr') or {}
    own = cfg.train_dataloader.batch_size * num_gpus * _accumulated(cfg)
    return scaling.get('base_batch_size') or own


def scale_lr(cfg: Config, batch: int) -> list[str]:
    """Scale the learning rate to a batch, as the recipe says.

    End values of the schedulers follow, so that the shape stays.

    Args:
        cfg: Config; changed in place.
        batch: Images of an optimizer step, on all GPUs together.

    Returns:
        A line for the log, or none where nothing changed.

    Raises:
        UserError: ``auto_scale_lr.rule`` is neither linear nor sqrt.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base, rule = base_batch_size(cfg), scaling.get('rule', 'linear')
    if rule not in RULES:
        raise UserError(
            f'auto_scale_lr.rule={rule!r}: choose one of {", ".join(RULES)}'
        )
    factor = RULES[rule](batch / base)
    cfg.auto_scale_lr = dict(
        scaling, enable=False, base_batch_size=batch, rule=rule
    )
    optimizer = cfg.optim_wrapper.get('optimizer') or {}
    if factor == 1 or 'lr' not in optimizer:
        return []
    before, optimizer['lr'] = optimizer['lr'], optimizer['lr'] * factor
    for item in _schedulers(cfg):
        if issubclass(_class(cfg, PARAM_SCHEDULERS, item), LRSchedulerMixin):
            for key in ('eta_min', 'eta_max'):
                if item.get(key):
                    item[key] *= factor
    return [
        f'learning rate: {before:g} for a batch of {base} -> '
        f'{optimizer["lr"]:g} for {batch} ({rule})'
    ]


def averaging_hooks(cfg: Config) -> Iterator[Any]:
    """Return the hooks of a config that average weights."""
    hooks = [*(cfg.get('custom_hooks') or [])]
    hooks += (cfg.get('default_hooks') or {}).values()
    for hook in hooks:
        if hook and issubclass(_class(cfg, HOOKS, hook), EMAHook):
            yield hook


# ----------------------------------------------------------------- lengths
def _accumulated(cfg: Config) -> int:
    return cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)


def _old_length(cfg: Config, base: int) -> Length:
    """Return the recipe's own length; its iterations are 0 if unknown."""
    loop = cfg.train_cfg
    if 'max_iters' in loop:
        return Length(0, loop.max_iters, base)
    ends = [
        item['end']
        for item in _schedulers(cfg)
        if not item.get('by_epoch', True)
        and 'end' in item
        and not _is_warmup(cfg, item)
    ]
    return Length(loop.max_epochs, max(ends, default=0), base)


def _new_length(
    cfg: Config,
    old: Length,
    num_images: int,
    epochs: int | None,
    num_gpus: int,
) -> Length:
    loader = cfg.train_dataloader
    images = loader.batch_size * num_gpus  # of an iteration
    batch = images * _accumulated(cfg)
    if not old.epochs:
        if epochs:
            iters = math.ceil(epochs * num_images / images)
            return Length(epochs, iters, batch)
        iters = max(1, round(old.iters * old.batch / batch))
        return Length(round(iters * images / num_images, 1), iters, batch)
    per_gpu = math.ceil(num_images / num_gpus)
    if loader.get('drop_last'):
        steps = per_gpu // loader.batch_size
    else:
        steps = math.ceil(per_gpu / loader.batch_size)
    if not steps:
        raise UserError(
            f'a batch of {loader.batch_size} is more than the {per_gpu} '
            f'training images of a GPU: use --batch-size {per_gpu} or less'
        )
    count = epochs or int(old.epochs)
    return Length(count, count * steps, batch)


def _fit_loop(cfg: Config, old: Length, new: Length) -> list[str]:
    loop = cfg.train_cfg
    if old.epochs:
        share, name = new.epochs / old.epochs, 'max_epochs'
        loop.max_epochs = int(new.epochs)
    else:
        share, name = new.iters / old.iters, 'max_iters'
        loop.max_iters = new.iters
    if share == 1:
        return []
    loop.val_interval = _scaled(loop.get('val_interval', 1), share)
    if 'val_begin' in loop:
        loop.val_begin = _scaled(loop.val_begin, share)
    if loop.get('dynamic_intervals'):
        loop.dynamic_intervals = [
            (_scaled(begin, share), _scaled(interval, share))
            for begin, interval in loop.dynamic_intervals
        ]
    saving = (cfg.get('default_hooks') or {}).get('checkpoint')
    # A hook counts epochs unless it says otherwise.
    if saving and saving.get('by_epoch', True) == bool(old.epochs):
        saving.interval = _scaled(saving.get('interval', 1), share)
    return [
        f'{name}: {loop[name]}, validation every {loop.val_interval}, '
        f'checkpoint every {saving.interval if saving else "-"}'
    ]


def _scaled(count: int, share: float) -> int:
    return max(1, round(count * share))


# -------------------------------------------------------------- schedulers
def _fit_schedulers(
    cfg: Config, old: Length, new: Length, keep_epochs: bool = True
) -> list[str]:
    items, kept, lines = _schedulers(cfg), [], []
    maps = {
        by_epoch: _mapping(cfg, items, by_epoch, total, new)
        for by_epoch, total in ((True, old.epochs), (False, old.iters))
    }
    for item in items:
        by_epoch = item.get('by_epoch', True)
        if by_epoch and keep_epochs and new.epochs == old.epochs:
            kept.append(item)
            continue
        before, is_warmup = item.get('end'), _is_warmup(cfg, item)
        _move(cfg, item, maps[by_epoch], old, new)
        no_time = item.get('end', new.iters) <= item['begin']
        if no_time or (is_warmup and item['end'] < 2):
            lines.append(f'{item.type}: left out, there is no time for it')
            continue
        kept.append(item)
        unit = 'epoch' if by_epoch else 'iteration'
        if by_epoch or before != item.get('end'):
            end = 'the end' if before is None else f'{unit} {before}'
            lines.append(
                f'{item.type}: to {end} -> iterations {item["begin"]} to '
                f'{item.get("end", new.iters)}'
            )
    if items:
        cfg.param_scheduler = kept
    return lines


def _mapping(
    cfg: Config,
    items: list[Any],
    by_epoch: bool,
    total: float,
    new: Length,
) -> Callable[[float], int]:
    """Map a step of the recipe to an iteration of the new run."""
    warm = max(
        (
            item['end']
            for item in items
            if item.get('by_epoch', True) == by_epoch and _is_warmup(cfg, item)
        ),
        default=0,
    )
    own = warm if not by_epoch else warm / max(total, 1) * new.iters
    new_warm = math.floor(min(own, WARMUP_SHARE * new.iters))

    def to_iteration(step: float) -> int:
        if step <= warm:
            return round(step * new_warm / warm) if warm else 0
        share = (step - warm) / max(total - warm, 1e-9)
        return round(new_warm + min(share, 1.0) * (new.iters - new_warm))

    return to_iteration


def _move(
    cfg: Config,
    item: Any,
    to_iteration: Callable[[float], int],
    old: Length,
    new: Length,
) -> None:
    """Move a scheduler to its place in the new run, in iterations."""
    by_epoch = item.get('by_epoch', True)
    steps = old.epochs if by_epoch else old.iters
    begin, end = item.get('begin', 0), item.get('end', steps)
    item.update(begin=to_iteration(begin), by_epoch=False)
    item.pop('convert_to_iter_based', None)
    if 'end' in item:
        item['end'] = to_iteration(end)
    span, new_span = end - begin, item.get('end', new.iters) - item['begin']
    share = new_span / span if span else 1.0
    if 'milestones' in item:
        item['milestones'] = sorted({to_iteration(m) for m in item.milestones})
    if 'periods' in item:
        item['periods'] = [_scaled(p, share) for p in item['periods']]
    for key in ('T_max', 'step_size', 'total_steps'):
        if key in item:
            item[key] = _scaled(item[key], share)
    kind = _class(cfg, PARAM_SCHEDULERS, item)
    if issubclass(kind, ExponentialParamScheduler) and share:
        item['gamma'] = item['gamma'] ** (1 / share)


def _is_warmup(cfg: Config, item: Any) -> bool:
    if item.get('begin', 0) or 'end' not in item:
        return False
    kind = _class(cfg, PARAM_SCHEDULERS, item)
    if issubclass(kind, LinearParamScheduler):
        return item.get('start_factor', 1 / 3) < item.get('end_factor', 1.0)
    if issubclass(kind, ConstantParamScheduler):
        return item.get('factor', 1 / 3) < 1
    return False


def _schedulers(cfg: Config) -> list[Any]:
    found = cfg.get('param_scheduler') or []
    return [found] if isinstance(found, dict) else list(found)


# ------------------------------------------------------------------- hooks
def _fit_hooks(cfg: Config, old: Length, new: Length, base: int) -> list[str]:
    lines = []
    share = new.epochs / old.epochs if old.epochs else 1.0
    iter_share = new.iters / old.iters if old.iters else 1.0
    for hook in cfg.get('custom_hooks') or []:
        for keys, factor in ((EPOCH_KEYS, share), (ITER_KEYS, iter_share)):
            for key in keys:
                if hook.get(key) and factor != 1:
                    before, hook[key] = hook[key], _scaled(hook[key], factor)
                    lines.append(f'{hook.type}.{key}: {before} -> {hook[key]}')
    for hook in averaging_hooks(cfg):
        lines += _fit_average(hook, new, base)
    return lines


def _fit_average(hook: Any, new: Length, base: int) -> list[str]:
    """Let the average span as many images, but little of a short run.

    An average of constant momentum lags behind by ``1 / momentum`` updates,
    which hides what a short training learns. MMEngine's annealed one spans a
    tenth of the updates so far, until that is as much as the recipe's.
    """
    before = momentum = hook.get('momentum', 0.0002)
    updates = max(1, new.iters // hook.get('interval', 1))
    if new.batch != base:
        momentum = min(1.0, 1 - (1 - momentum) ** (new.batch / base))
    lines = []
    if not math.isclose(momentum, before, rel_tol=1e-9):
        hook['momentum'] = momentum
        lines = [f'{hook.type}.momentum: {before:g} -> {momentum:.4g}']
    if hook.get('ema_type', CONSTANT) == CONSTANT:
        hook.update(ema_type='MomentumAnnealingEMA', gamma=SPAN)
        lines.append(
            f'{hook.type}: averages over the last {1 / SPAN:.0%} of the '
            'updates so far'
        )
    elif 'gamma' in hook:
        hook['gamma'] = max(1, min(hook['gamma'], updates // 10))
    return lines


def _class(cfg: Config, registry: Registry, item: Any) -> type:
    """Return the class that a part of a config names, or ``object``."""
    return lookup_class(registry, item, cfg.get('default_scope')) or object
