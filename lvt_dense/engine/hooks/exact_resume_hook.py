"""Random numbers of a step that depend on the step alone."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from lvt_dense.datasets.exact_resume import draw_seeds
from lvt_dense.registry import HOOKS


@HOOKS.register_module()
class ReplayHook(Hook):
    """Seed every training step, so that a resumed training repeats it.

    Dropout, stochastic depth, samplers of boxes and whatever else the model
    draws then depend on the seed of the run, the process and the iteration.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed the random numbers of Python, NumPy and PyTorch."""
        (seed,) = draw_seeds(runner.seed, runner.rank, runner.iter)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
