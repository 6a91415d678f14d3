"""The outer shell of every script: one clear line for bad input."""

import functools
import sys
import warnings
from collections.abc import Callable

from lvt_dense.errors import UserError


def command(main: Callable[[], None]) -> Callable[[], None]:
    """Decorate the ``main`` of a script.

    A :class:`UserError` becomes one line on stderr and exit status 2, also
    when it was raised in a data loader's worker process.
    """

    @functools.wraps(main)
    def run() -> None:
        # onedl-mmdetection announces an optional package at every import
        warnings.filterwarnings('ignore', message='faster_coco_eval')
        try:
            main()
        except UserError as error:
            print(f'error: {one_line(error)}', file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print('error: interrupted', file=sys.stderr)
            sys.exit(130)

    return run


def one_line(error: Exception) -> str:
    """Message of an error, without the traceback that a worker adds."""
    text = str(error).strip()
    if 'Original Traceback' in text:
        text = text.splitlines()[-1].split('UserError: ', 1)[-1]
    return ' '.join(text.split())
