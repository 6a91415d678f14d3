"""Let a recipe count iterations, where an epoch is too coarse a unit."""

from typing import Any

from mmengine.config import Config, ConfigDict

from lvt_dense.config import dataset_cfgs, default_hooks

from .schedules import averaging_hooks

LEAST_TO_AVERAGE = 300  # updates


def use_iterations(cfg: Config, iters: int, interval: int) -> list[str]:
    """Let the loop, the log, validations and checkpoints count iterations.

    Schedulers count them already, see :func:`.schedules.fit_recipe`.

    Args:
        cfg: Config; changed in place.
        iters: Iterations in all.
        interval: Iterations between validations, and between checkpoints.

    Returns:
        Lines on what cannot be kept.
    """
    cfg.train_cfg = ConfigDict(
        type='IterBasedTrainLoop', max_iters=iters, val_interval=interval
    )
    loader = cfg.train_dataloader
    loader.sampler = dict(type='InfiniteSampler', shuffle=True)
    loader.pop('shuffle', None)
    hooks = default_hooks(cfg)
    hooks.setdefault('checkpoint', dict(type='CheckpointHook'))
    hooks.checkpoint.update(by_epoch=False, interval=interval)
    logger = hooks.get('logger')
    if logger:
        logger['log_metric_by_epoch'] = False
    processor = cfg.get('log_processor') or dict(
        type='LogProcessor', window_size=50
    )
    cfg.log_processor = dict(processor, by_epoch=False)
    return _keep_one_pipeline(cfg)


def _keep_one_pipeline(cfg: Config) -> list[str]:
    """Train with the later pipeline of a recipe that switches to one.

    The switch counts epochs. What comes before it is the augmentation of a
    long training.
    """
    kept: list[Any] = []
    lines = []
    for hook in cfg.get('custom_hooks') or []:
        if 'switch_pipeline' not in hook:
            kept.append(hook)
            continue
        for part in dataset_cfgs(cfg, 'train'):
            part.pipeline = hook['switch_pipeline']
        lines.append(
            f'{hook["type"]}: the augmentation that it switches to is used '
            'from the beginning'
        )
    if lines:
        cfg.custom_hooks = kept
    return lines


def drop_short_average(cfg: Config, iters: int) -> bool:
    """Leave out the average of weights in a training of few updates.

    It lags behind by a tenth of the updates, which are then too few to
    average out noise.

    Returns:
        Whether there was one.
    """
    found = list(averaging_hooks(cfg))
    if iters >= LEAST_TO_AVERAGE or not found:
        return False
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [h for h in hooks if all(h is not f for f in found)]
    for name, hook in list((cfg.get('default_hooks') or {}).items()):
        if any(hook is f for f in found):
            cfg.default_hooks[name] = None
    return True
