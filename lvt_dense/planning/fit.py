"""Write the choices of a plan into a config."""

import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from lvt_dense.config import dataset_cfgs, default_hooks
from lvt_dense.datasets.own.adapt import find_dicts
from lvt_dense.engine.iterations import drop_short_average, use_iterations
from lvt_dense.engine.schedules import (
    SPAN,
    averaging_hooks,
    fit_recipe,
)
from lvt_dense.utils.errors import UserError

# Settings of transforms that are sizes; crops and paddings feed the network.
_SCALES = ('scale', 'img_scale')
_CROPS = ('crop_size', 'size', 'base_size')
_STEP = 32  # the coarsest stride of a backbone


def find_size(cfg: Config) -> int:
    """Return the shorter side of the input, in pixels.

    Raises:
        UserError: The test pipeline sets no size.
    """
    return min(find_scale(cfg))


def find_scale(cfg: Config) -> tuple[int, int]:
    """Return width and height of the input, in pixels, at most.

    Raises:
        UserError: The test pipeline sets no size.
    """
    for part in (*dataset_cfgs(cfg, 'val'), *dataset_cfgs(cfg, 'test')):
        for step in part.get('pipeline') or []:
            if 'Resize' in str(step.get('type')) and _is_pair(
                step.get('scale')
            ):
                width, height = step['scale']
                return width, height
    raise UserError(f'{cfg.filename}: the test pipeline sets no image size')


def set_size(cfg: Config, size: int) -> None:
    """Change the size of the input in all pipelines.

    All sizes are scaled alike; those of crops, paddings and images whose
    ratio is not kept become multiples of the coarsest stride.

    Args:
        cfg: Config; changed in place.
        size: Shorter side, in pixels.
    """
    ratio = size / find_size(cfg)
    if ratio == 1:
        return
    for step in _sized_steps(cfg):
        for key in (*_SCALES, *_CROPS):
            if _is_pair(step.get(key)):
                exact = key in _SCALES and step.get('keep_ratio', False)
                step[key] = tuple(
                    _scale(side, ratio, exact) for side in step[key]
                )


def _sized_steps(cfg: Config) -> Iterator[dict]:
    """Yield transforms and preprocessors, each once."""
    seen = set()
    parts = [cfg.get(f'{s}_dataloader') for s in ('train', 'val', 'test')]
    parts += [cfg.get('tta_pipeline'), cfg.get('custom_hooks')]
    parts += [cfg.model.get('data_preprocessor')]
    for step in find_dicts(parts):
        if id(step) not in seen:
            seen.add(id(step))
            yield step


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(side, int) for side in value)
    )


def _scale(side: int, ratio: float, exact: bool) -> int:
    if exact:
        return max(1, round(side * ratio))
    return max(_STEP, round(side * ratio / _STEP) * _STEP)


def set_scratch_rate(cfg: Config, rate: float, batch: int) -> None:
    """Set the learning rate for random weights, and its batch size.

    Args:
        cfg: Config; changed in place.
        rate: The rate.
        batch: Images of an update that it is meant for.
    """
    optimizer = cfg.optim_wrapper.optimizer
    factor = rate / optimizer.lr
    optimizer.lr = rate
    for item in cfg.get('param_scheduler') or []:
        if item.get('eta_min'):
            item['eta_min'] *= factor
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=batch, rule='sqrt')


def set_length(
    cfg: Config,
    images: int,
    batch: int,
    updates: int,
    validations: int,
    gpus: int = 1,
) -> list[str]:
    """Fit schedule, learning rate, averages and validations to a length.

    Args:
        cfg: Config; changed in place.
        images: Training images.
        batch: Images of an update, on each GPU.
        updates: Updates in all.
        validations: Validations in all.
        gpus: Processes that train together.

    Returns:
        Parts of the recipe that cannot be kept, as lines for the plan.
    """
    fit_recipe(cfg, images, None, batch, gpus, iters=updates)
    return use_iterations(cfg, updates, math.ceil(updates / validations))


def set_average(cfg: Config, updates: int) -> str:
    """Adapt averaged weights to a short training, or drop them.

    Args:
        cfg: Config; changed in place.
        updates: Updates in all.

    Returns:
        A text that says what was done.
    """
    if drop_short_average(cfg, updates):
        return f'no averaged weights, because there are only {updates} updates'
    hooks = list(averaging_hooks(cfg))
    for hook in hooks:
        hook.update(ema_type='MomentumAnnealingEMA', gamma=SPAN)
    if hooks:
        return 'weights are averaged over the last tenth of the updates'
    return 'the recipe averages no weights'


def set_time_limit(
    cfg: Config, minutes: float, validation: float, most: int
) -> None:
    """Limit the time, see :class:`lvt_dense.engine.hooks.TimeLimitHook`.

    Args:
        cfg: Config; changed in place.
        minutes: Time for all.
        validation: Estimated seconds of a validation.
        most: Most updates that make sense.
    """
    default_hooks(cfg)['param_scheduler'] = dict(
        type='lvt_dense.TimeLimitHook',
        minutes=minutes,
        validation=round(validation, 1),
        longest=most,
    )


def drop_time_limit(cfg: Config) -> None:
    """Remove the time limit of an earlier plan from a config."""
    hook = (cfg.get('default_hooks') or {}).get('param_scheduler') or {}
    if str(hook.get('type')).endswith('TimeLimitHook'):
        cfg.default_hooks['param_scheduler'] = dict(type='ParamSchedulerHook')
