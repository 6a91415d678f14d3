"""Adapt a checkpoint of other classes while it is loaded."""

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.registry import HOOKS

Adapt = Callable[[Mapping[str, Tensor], nn.Module], dict[str, Tensor]]


@HOOKS.register_module()
class ClassRowsHook(Hook):
    """Fit the checkpoint of ``load_from`` to the model that it is loaded to.

    What it does not fill keeps the values that the model was initialized
    with, in averaged weights as well.

    Args:
        adapt: Takes the tensors of the checkpoint and the model, and returns
            those that fit.
    """

    priority = 'VERY_HIGH'  # before averaged weights are filled

    def __init__(self, adapt: Adapt) -> None:
        self.adapt = adapt

    def after_load_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Replace the tensors of the checkpoint."""
        model: Any = runner.model
        model = model.module if is_model_wrapper(model) else model
        given = checkpoint.get('state_dict', checkpoint)
        own = model.state_dict()
        found = self.adapt(given, model)
        for key, value in found.items():
            if key in own and value.shape == own[key].shape:
                own[key] = value
        checkpoint.clear()
        checkpoint['state_dict'] = {k: v.cpu() for k, v in own.items()}
