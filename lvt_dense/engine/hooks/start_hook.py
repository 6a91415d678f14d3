"""What a training starts from, last before its first step."""

import logging
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from lvt_dense.registry import HOOKS


@HOOKS.register_module()
class StartHook(Hook):
    """Log lines when everything else has been logged.

    Args:
        lines: Lines; one that begins with ``WARNING: `` is logged as such.
    """

    priority = 'LOWEST'

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)

    def before_train(self, runner: Runner) -> None:
        """Log the lines."""
        for line in self.lines:
            is_warning = line.startswith('WARNING: ')
            level = logging.WARNING if is_warning else logging.INFO
            runner.logger.log(level, line.removeprefix('WARNING: '))
