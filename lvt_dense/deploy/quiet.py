"""Hold back what converters print while they work."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def silence() -> Iterator[None]:
    """Drop prints, warnings, and what PyTorch's exporter logs as a warning.

    Exceptions pass.
    """
    logger, chatter = logging.getLogger('torch.onnx'), io.StringIO()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(chatter),
            redirect_stderr(chatter),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
