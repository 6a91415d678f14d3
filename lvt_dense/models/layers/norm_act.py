"""Batch norms with activations inside: take them apart, and fold them.

Some packages, timm above all, derive a norm with an activation in it from
PyTorch's batch norm. Whatever replaces batch norms then drops the activation
without a word: ``nn.SyncBatchNorm.convert_sync_batchnorm``, MMCV's
``fuse_conv_bn``, MMEngine's ``revert_sync_batchnorm``.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
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


def fold_batch_norms(module: nn.Module, image: Tensor) -> nn.Module:
    """Fold batch norms into the convolutions whose output they alone take.

    Which these are is seen in a forward pass; where a block computes both by
    itself, the norm is the one after the convolution. MMCV's
    ``fuse_conv_bn`` always takes the convolution that is registered before a
    norm, which is wrong in blocks of several branches, and drops activations
    inside the norm.

    Args:
        module: Network in eval mode; changed in place.
        image: Input to try it with, (N, C, H, W).
    """
    for conv_name, norm_name in _find_pairs(module, image):
        conv: Any = module.get_submodule(conv_name)
        norm: Any = module.get_submodule(norm_name)
        others = list(inner_modules(norm).values())
        rest = nn.Sequential(*others) if others else nn.Identity()
        _replace(module, conv_name, fuse_conv_bn_eval(conv, norm))
        _replace(module, norm_name, rest)
    return module


def _find_pairs(module: nn.Module, image: Tensor) -> list[tuple[str, str]]:
    """Name each convolution with the norm that takes its output."""
    outputs: list[tuple[str, Tensor, Any]] = []
    taken: list[tuple[str, Tensor]] = []
    handles = []
    for name, child in module.named_modules():
        if type(child) is nn.Conv2d:
            handles.append(
                child.register_forward_hook(
                    lambda _, __, y, name=name: outputs.append(
                        (name, y, y.grad_fn)
                    )
                )
            )
        elif isinstance(child, _BatchNorm):
            handles.append(
                child.register_forward_pre_hook(
                    lambda _, x, name=name: taken.append((name, x[0]))
                )
            )
    try:
        with torch.enable_grad():
            result = module(image.clone().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    users = _count_users(result)
    calls = Counter(item[0] for item in [*outputs, *taken])
    pairs = [
        (conv, norm)
        for norm, x in taken
        for conv, y, node in outputs
        if x is y and users[node] == calls[conv] == calls[norm] == 1
    ]
    unseen = [p for p in _neighbors(module) if not calls.keys() & {*p}]
    return pairs + unseen


def _count_users(result: Any) -> Counter[Any]:
    """Count what takes the output of each operation, by its autograd node."""
    users: Counter[Any] = Counter()
    waiting = [t.grad_fn for t in tensors_in(result) if t.grad_fn is not None]
    users.update(waiting)
    seen = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is None:
                continue
            users[node] += 1
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return users


def tensors_in(output: Any) -> Iterator[Tensor]:
    """List the tensors in nested lists and tuples."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (list, tuple)):
        for item in output:
            yield from tensors_in(item)


def _neighbors(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Name each convolution that is registered right before a norm."""
    for owner_name, owner in module.named_modules():
        prefix = f'{owner_name}.' if owner_name else ''
        for (conv, first), (norm, second) in pairwise(owner.named_children()):
            if type(first) is nn.Conv2d and isinstance(second, _BatchNorm):
                yield f'{prefix}{conv}', f'{prefix}{norm}'


def _replace(module: nn.Module, name: str, new: nn.Module) -> None:
    owner, _, child = name.rpartition('.')
    module.get_submodule(owner).add_module(child, new)
