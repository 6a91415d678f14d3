"""Settings that make a training step faster and leave its result as it is.

They apply to any config, also of others: see the functions.
"""

import ctypes
import logging
import platform
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmcv.transforms import Pad, Resize
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import EMAHook, RuntimeInfoHook
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import HOOKS, OPTIMIZERS, TRANSFORMS
from mmengine.utils import digit_version
from torch import nn

from lvt_dense.config import dataset_cfgs, default_hooks
from lvt_dense.engine.optimizers import has_separate_groups
from lvt_dense.utils.config_class import find_class, lookup_class

_DEFAULT_CONSTRUCTOR = 'DefaultOptimWrapperConstructor'
# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def use_fast_step(
    cfg: Config, saved_groups: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Change a config so that its training steps take less time.

    Args:
        cfg: Config; changed in place.
        saved_groups: Parameter groups of the optimizer that is resumed.
    """
    device = get_device()
    use_merged_groups(cfg, saved_groups)
    use_fused_optimizer(cfg, device)
    use_lazy_hooks(cfg)
    if device == 'cpu':
        keep_freed_memory()
    if device == 'cuda':
        use_pinned_memory(cfg)
        if not (cfg.get('randomness') or {}).get('deterministic'):
            # TensorFloat-32: ten bits of mantissa in matrix products, as
            # PyTorch has by default in convolutions.
            torch.set_float32_matmul_precision('high')
            use_cudnn_benchmark(cfg)


def use_merged_groups(
    cfg: Config, saved_groups: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Let parameters of equal settings share a group of the optimizer.

    An optimizer that is resumed keeps the groups that it was saved with.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.get('constructor', _DEFAULT_CONSTRUCTOR) != (
        _DEFAULT_CONSTRUCTOR
    ) or has_separate_groups(saved_groups):
        return
    if wrapper.get('paramwise_cfg') and 'optimizer' in wrapper:
        wrapper.constructor = 'lvt_dense.GroupedOptimWrapperConstructor'


def use_fused_optimizer(cfg: Config, device: str) -> None:
    """Update all parameters of a group in one kernel, if PyTorch has it.

    AdamW of 246 small tensors on a CPU: 3 ms instead of 11.
    """
    optimizer = cfg.optim_wrapper.get('optimizer')
    if not isinstance(optimizer, dict) or device not in ('cpu', 'cuda'):
        return
    if digit_version(torch.__version__) < digit_version('2.4.0'):
        return
    kind = lookup_class(OPTIMIZERS, optimizer, cfg.get('default_scope'))
    fused = (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)
    others = {'fused', 'foreach', 'differentiable'} & optimizer.keys()
    if kind in fused and not others:
        optimizer['fused'] = True


def use_lazy_hooks(cfg: Config) -> None:
    """Log losses without a wait for each, and average weights at once."""
    scope = cfg.get('default_scope')
    hooks = default_hooks(cfg)
    info = hooks.get('runtime_info', dict(type='RuntimeInfoHook'))
    if info and lookup_class(HOOKS, info, scope) is RuntimeInfoHook:
        lazy = dict(info, type='lvt_dense.LazyRuntimeInfoHook')
        hooks['runtime_info'] = lazy
    for hook in cfg.get('custom_hooks') or []:
        is_cfg = isinstance(hook, dict)
        if is_cfg and lookup_class(HOOKS, hook, scope) is EMAHook:
            hook['type'] = 'lvt_dense.EMAHook'


def use_pinned_memory(cfg: Config) -> None:
    """Copy batches to the GPU while it computes."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.setdefault('pin_memory', True)


def copy_ahead(model: nn.Module) -> None:
    """Let a model not wait for the copies of its batches to a GPU.

    MMSegmentation's preprocessor has no such argument.
    """
    for module in model.modules():
        if isinstance(module, BaseDataPreprocessor):
            module._non_blocking = True


def use_cudnn_benchmark(cfg: Config) -> None:
    """Let cuDNN choose by trial, where all batches have one size."""
    if has_one_size(cfg):
        hook = dict(type='lvt_dense.CudnnBenchmarkHook')
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def has_one_size(cfg: Config) -> bool:
    """Check whether all batches of training have the same height and width."""
    sampler = cfg.train_dataloader.get('batch_sampler') or {}
    if 'base_size' in sampler:
        return False
    for owner in (cfg, cfg.model):
        preprocessor = owner.get('data_preprocessor') or {}
        if preprocessor.get('size'):
            return True
    pipelines = [
        part.pipeline
        for part in dataset_cfgs(cfg, 'train')
        if part.get('pipeline')
    ]
    outer = cfg.train_dataloader.dataset
    if outer.get('pipeline'):
        pipelines = [outer.pipeline]  # follows those of what it wraps
    scope = cfg.get('default_scope')
    return bool(pipelines) and all(
        _ends_in_one_size(pipeline, scope) for pipeline in pipelines
    )


def _ends_in_one_size(
    pipeline: Iterable[Mapping[str, Any]], scope: str | None
) -> bool:
    for step in reversed(list(pipeline)):
        kind = find_class(TRANSFORMS, dict(step), scope)
        if issubclass(kind, Pad) and step.get('size'):
            return True
        if issubclass(kind, Resize) and step.get('scale'):
            return not step.get('keep_ratio', False)
        if {'scale', 'scales', 'crop_size'} & step.keys():
            return False
    return False


def keep_freed_memory() -> None:
    """Let the C library keep the memory that tensors give back.

    It returns large blocks to the system, which clears and maps them anew for
    the next tensor. Without that, a step of SSDLite MobileViT-XXS on 32
    images takes 0.77 of the processor time. Only glibc has the setting;
    elsewhere nothing happens.
    """
    if platform.libc_ver()[0] != 'glibc':
        return
    libc = ctypes.CDLL(None)
    done = libc.mallopt(_M_MMAP_MAX, 0)
    if not (done and libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)):
        print_log('freed memory is not kept', 'current', logging.DEBUG)
