"""Compile backbone and neck for training."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from lvt_dense.registry import HOOKS

_PARTS = ('backbone', 'neck')


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile backbone and neck with ``torch.compile`` while they train.

    Each size of the images is compiled once. Heads and losses stay as they
    are, and so do validation and checkpoints. What cannot be compiled runs as
    before, after one line of warning.
    """

    def __init__(self) -> None:
        self._parts: list[nn.Module] = []

    def before_train(self, runner: Runner) -> None:
        """Put the compiled forms in; copies of the model exist already."""
        model: Any = runner.model
        if is_model_wrapper(model):
            model = model.module
        for name in _PARTS:
            part = getattr(model, name, None)
            if isinstance(part, nn.Module):
                part.forward = CompiledForward(part, name)
                self._parts.append(part)

    def after_train(self, runner: Runner) -> None:
        """Take the compiled forms out again."""
        for part in self._parts:
            del part.forward
        self._parts.clear()


class CompiledForward:
    """The forward of a module, compiled in training.

    Args:
        module: Module to compile.
        name: Its name in messages.
        **options: Arguments of ``torch.compile``.
    """

    def __init__(self, module: nn.Module, name: str, **options: Any) -> None:
        self.module, self.name = module, name
        self.eager: Callable = module.forward
        self.compiled: Callable | None = torch.compile(
            self.eager, dynamic=False, **options
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled form, or the plain one if there is none."""
        if self.compiled is None or not self.module.training:
            return self.eager(*args, **kwargs)
        try:
            return self.compiled(*args, **kwargs)
        except Exception as error:
            # Compilers raise anything; a fault of the model itself comes up
            # again below.
            # The first line may only say that a backend raised something.
            reason = ' '.join(str(error).split('\n')[:2])
            print_log(
                f'--compile: the {self.name} is not compiled '
                f'({type(error).__name__}: {reason[:150]})',
                'current',
                logging.WARNING,
            )
            self.compiled = None
            return self.eager(*args, **kwargs)
