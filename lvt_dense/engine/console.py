"""Decide what a run prints, and what it writes only to its log file."""

import logging
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook
from mmengine.logging import MMLogger
from mmengine.runner import EpochBasedTrainLoop, Runner

from lvt_dense.config import DUMP

LINES = 10  # of the loss in any training, at least
# MMEngine's lines about each parameter, and about its own insides, with which
# nobody can do anything. Log files hold them.
_NOISE = (
    'paramwise_options -- ',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Distributed training is not used, all SyncBatchNorm',
    'The prefix is not set in metric class',
)


class QuietRunner(Runner):
    """A runner that prints no dumps of environment, config and hooks.

    Those are hundreds of lines, between the question and its answer, as are
    those on the decay of each parameter. They go to the log file, which is
    named in their place.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, whose terminal gets no dumps."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.addFilter(_is_for_terminal)
        files = [
            handler.baseFilename
            for handler in logger.handlers
            if isinstance(handler, logging.FileHandler)
        ]
        for file in files:
            logger.info(f'environment, config and full log: {file}')
        return logger

    @master_only
    def dump_config(self) -> None:
        """Write the config, with the data in it, to the work directory.

        A config that lies there itself is kept, and the other one gets a name
        of its own, see :func:`lvt_dense.config.find_run`.
        """
        file, folder = self.cfg.filename, Path(self.work_dir)
        if file is None or Path(file).resolve().parent != folder.resolve():
            super().dump_config()
            return
        name = Path(file).name.removesuffix(DUMP)
        self.cfg.dump(str(folder / f'{name.removesuffix(".py")}{DUMP}'))


def _is_for_terminal(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    is_of_runner = record.module == 'runner' and record.levelno < 30
    return not (is_of_runner and '\n' in text) and not text.startswith(_NOISE)


def log_often(runner: Runner) -> None:
    """Let a short training log its loss ten times, if it has ten steps.

    Args:
        runner: A runner before training; its data loader is built.
    """
    loop = runner.train_loop
    for hook in runner.hooks:
        if not isinstance(hook, LoggerHook):
            continue
        if isinstance(loop, EpochBasedTrainLoop):
            # In each epoch the counter begins again.
            length = len(loop.dataloader)
            wanted = -(-LINES // max(loop.max_epochs, 1))
        else:
            length, wanted = loop.max_iters, LINES
        hook.interval = min(hook.interval, max(length // wanted, 1))
