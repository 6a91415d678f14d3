"""Let cuDNN choose its algorithms by trial while training."""

from typing import Any

import torch
from mmengine.hooks import Hook

from lvt_dense.registry import HOOKS


@HOOKS.register_module()
class CudnnBenchmarkHook(Hook):
    """Let cuDNN try its algorithms on the batches of training alone.

    They have one size, and are tried once. Images of a validation may differ
    in size, and each would be tried anew, which takes longer than it saves.
    """

    def before_train(self, runner: Any) -> None:
        """Switch it on."""
        torch.backends.cudnn.benchmark = True

    def before_val(self, runner: Any) -> None:
        """Switch it off."""
        torch.backends.cudnn.benchmark = False

    def after_val(self, runner: Any) -> None:
        """Switch it on again."""
        torch.backends.cudnn.benchmark = True

    def after_train(self, runner: Any) -> None:
        """Leave it off."""
        torch.backends.cudnn.benchmark = False
