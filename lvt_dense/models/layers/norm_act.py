"""Batch norms with activations inside: take them apart, and fold them.

Some packages, timm above all, derive a norm with an activation in it from
PyTorch's batch norm. Whatever replaces batch norms then drops the activation
without a word: ``nn.SyncBatchNorm.convert_sync_batchnorm``, MMCV's
``fuse_conv_bn``, MMEngine's ``revert_sync_batchnorm``.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval


class NormAct(nn.Module):
    """Batch norm, then what else a norm of another package computes.

    Args:
        batch_norm: The norm alone.
        others: What follows, by name.
    """

    def __init__(
        self, batch_norm: nn.Module, others: dict[str, nn.Module]
    ) -> None:
        super().__init__()
        self.batch_norm = batch_norm
        for name, module in others.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        for module in self.children():
            x = module(x)
        return x


def inner_modules(norm: nn.Module) -> dict[str, nn.Module]:
    """Find what a batch norm computes besides, by name.

    Args:
        norm: Any module; of one that is no batch norm there is nothing.
    """
    if not isinstance(norm, _BatchNorm):
        return {}
    return {
        name: child
        for name, child in norm.named_children()
        if not isinstance(child, nn.Identity)
    }


def separate_activations(module: nn.Module) -> nn.Module:
    """Turn batch norms with activations inside into :class:`NormAct`.

    Parameters and buffers stay the same objects; ``.batch_norm`` is added to
    their names. Norms that hold nothing become plain ones.

    Args:
        module: Changed in place, itself excepted.
    """
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and any(child.named_children()):
            others, norm = inner_modules(child), _plain(child)
            module.add_module(name, NormAct(norm, others) if others else norm)
        else:
            separate_activations(child)
    return module


def _plain(norm: _BatchNorm) -> nn.BatchNorm2d:
    with torch.device('meta'):
        plain = nn.BatchNorm2d(
            norm.num_features,
            norm.eps,
            norm.momentum,
            norm.affine,
            norm.track_running_stats,
        )
    for name, parameter in norm.named_parameters(recurse=False):
        plain.register_parameter(name, parameter)
    for name, buffer in norm.named_buffers(recurse=False):
        plain.register_buffer(name, buffer)
    return plain.train(norm.training)


@torch.no_grad()
def fold_batch_norms(module: nn.Module, *inputs: Any) -> nn.Module:
    """Fold batch norms into the convolutions whose output they take.

    Which these are is seen in a forward pass. MMCV's ``fuse_conv_bn`` takes
    the convolution that is registered before a norm, which is another one in
    blocks of several branches, and drops activations inside the norm.

    Args:
        module: Network in eval mode; changed in place.
        inputs: What it is called with.
    """
    for conv_name, norm_name in _find_pairs(module, inputs):
        conv: Any = module.get_submodule(conv_name)
        norm = module.get_submodule(norm_name)
        others = list(inner_modules(norm).values())
        rest = nn.Sequential(*others) if others else nn.Identity()
        _replace(module, conv_name, fuse_conv_bn_eval(conv, norm))
        _replace(module, norm_name, rest)
    return module


def _find_pairs(
    module: nn.Module, inputs: tuple[Any, ...]
) -> list[tuple[str, str]]:
    """Name each convolution and norm that take part only in each other."""
    outputs: list[tuple[str, Tensor]] = []
    taken: list[tuple[str, Tensor]] = []
    handles = []
    for name, child in module.named_modules():
        if type(child) is nn.Conv2d:
            handles.append(
                child.register_forward_hook(
                    lambda _, __, y, name=name: outputs.append((name, y))
                )
            )
        elif isinstance(child, _BatchNorm):
            handles.append(
                child.register_forward_pre_hook(
                    lambda _, x, name=name: taken.append((name, x[0]))
                )
            )
    try:
        module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    pairs = [
        (conv, norm) for norm, x in taken for conv, y in outputs if x is y
    ]
    calls = Counter(name for name, _ in [*outputs, *taken])
    users = Counter(conv for conv, _ in pairs)
    return [
        (conv, norm)
        for conv, norm in pairs
        if calls[conv] == calls[norm] == users[conv] == 1
    ]


def _replace(module: nn.Module, name: str, new: nn.Module) -> None:
    owner, _, child = name.rpartition('.')
    module.get_submodule(owner).add_module(child, new)
