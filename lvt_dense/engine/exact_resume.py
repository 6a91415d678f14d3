"""Let a resumed training go on as if it had never ended."""

import inspect
from typing import Any

from mmengine.config import Config
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from lvt_dense.config import default_hooks
from lvt_dense.utils.config_class import find_class

_SAMPLER = 'lvt_dense.ReplayBatchSampler'


def use_exact_resume(cfg: Config) -> None:
    """Let all random numbers of a training depend on seed and step alone.

    Args:
        cfg: Config; changed in place.
    """
    _wrap_sampler(cfg, is_seeded=True)
    hooks = default_hooks(cfg)
    hooks['replay'] = dict(type='lvt_dense.ReplayHook')


def replay_from(cfg: Config, meta: dict[str, Any]) -> None:
    """Let a resumed training draw the batches that it would have drawn.

    The seed is that of the checkpoint, unless the config has one. A training
    that was saved in the middle of an epoch goes on there, and does not begin
    the epoch again.

    Args:
        cfg: Config; changed in place.
        meta: ``meta`` of the checkpoint, with ``epoch`` and ``iter``.
    """
    randomness = cfg.get('randomness') or {}
    if randomness.get('seed') is None and meta.get('seed') is not None:
        cfg.randomness = dict(randomness, seed=meta['seed'])
    loop = cfg.train_cfg
    kind = _loop_of(loop)
    sampler = cfg.train_dataloader.get('batch_sampler') or {}
    is_wrapped = sampler.get('type') == _SAMPLER
    if kind is EpochBasedTrainLoop:
        saving = cfg.get('default_hooks', {}).get('checkpoint') or {}
        if not is_wrapped and saving.get('by_epoch', True):
            return
        loop.type = 'lvt_dense.ReplayEpochLoop'
        loop.pop('by_epoch', None)
    elif kind is IterBasedTrainLoop and is_wrapped:
        # Else MMEngine draws and drops the batches that are done, at the
        # price of loading them.
        if 'fast_forward_on_resume' not in inspect.signature(kind).parameters:
            return
        loop.fast_forward_on_resume = True
    else:
        return
    _wrap_sampler(cfg, is_seeded=is_wrapped)
    cfg.train_dataloader.batch_sampler.update(
        done_epochs=int(meta['epoch']), done_iters=int(meta['iter'])
    )


def _loop_of(loop: dict[str, Any]) -> type:
    if loop.get('type'):
        return find_class(LOOPS, loop)
    by_epoch = loop.get('by_epoch', True)
    return EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop


def _wrap_sampler(cfg: Config, is_seeded: bool) -> None:
    loader = cfg.train_dataloader
    inner = loader.get('batch_sampler')
    if inner and inner.get('type') == _SAMPLER:
        return
    loader.batch_sampler = dict(
        type=_SAMPLER,
        batch_sampler=inner,
        drop_last=bool(loader.pop('drop_last', False)),
        is_seeded=is_seeded,
    )
