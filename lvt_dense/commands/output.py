"""Print the results and options of every command as JSON.

Exit statuses:

- 0: done.
- 1: a fault of the program, with a traceback on standard error; or one of
  the installation that ``doctor`` found.
- 2: bad input: one line on standard error. Some commands have done a part
  of their work by then, such as all images but one that cannot be read.
- 130: interrupted.
"""

import argparse
import errno
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from lvt_dense.runtime.errors import InputError
from lvt_dense.utils.errors import UserError

STATUSES = {
    0: 'done',
    1: 'a fault of the program, or one that doctor found',
    2: 'bad input',
    130: 'interrupted',
}


@dataclass
class Outcome:
    """What a command gives back.

    Attributes:
        result: What ``--json`` prints; anything that JSON can hold.
        status: Exit status.
    """

    result: Any = None
    status: int = 0


# What a path that the user has named can be wrong in, and a disk.
_DISK = (
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC),
)
Run = Callable[[argparse.Namespace], Outcome | int | None]


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands have."""
    parser.add_argument(
        '--json',
        action='store_true',
        help='print one JSON document to standard output, and everything else '
        'to standard error',
    )
    parser.add_argument(
        '--schema',
        action='store_true',
        help='print the options of the command as JSON',
    )


def run_plainly(name: str, run: Run, args: argparse.Namespace) -> int:
    """Run a command; return its exit status."""
    return _call(run, args).status


def run_as_json(name: str, run: Run, args: argparse.Namespace) -> int:
    """Run a command, and print what comes of it as one JSON document.

    Its keys are ``command``, ``status``, ``error`` (null, or the line that
    says what cannot be used) and ``result``.

    Returns:
        The exit status.
    """
    try:
        with redirect_stdout(sys.stderr):
            outcome = _call(run, args)
    except (UserError, InputError) as error:
        _print(name, Outcome(status=2), ' '.join(str(error).split()))
        raise
    except KeyboardInterrupt:
        _print(name, Outcome(status=130), 'interrupted')
        raise
    _print(name, outcome)
    return outcome.status


def _call(run: Run, args: argparse.Namespace) -> Outcome:
    """Run a command; a file that cannot be written is an input error."""
    try:
        return _outcome(run(args))
    except OSError as error:
        if error.errno not in _DISK or not error.filename:
            raise
        raise UserError(
            f'{error.filename} cannot be used: '
            f'{(error.strerror or "").lower()}; name another file or folder'
        ) from error


def _outcome(returned: Outcome | int | None) -> Outcome:
    if isinstance(returned, Outcome):
        return returned
    return Outcome(status=returned or 0)


def _print(name: str, outcome: Outcome, error: str | None = None) -> None:
    document = dict(
        command=name,
        status=outcome.status,
        error=error,
        result=outcome.result,
    )
    print(json.dumps(document, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    """Return what JSON can hold of numbers and arrays of other packages."""
    return value.tolist() if hasattr(value, 'tolist') else str(value)


def describe_parser(
    name: str, parser: argparse.ArgumentParser
) -> dict[str, Any]:
    """Return the options of a command and its exit statuses.

    Args:
        name: Name of the command.
        parser: Its parser.
    """
    actions = [a for a in parser._actions if a.dest != 'help']
    return dict(
        command=name,
        description=(parser.description or '').strip(),
        statuses=STATUSES,
        options=[_describe(action) for action in actions],
    )


def _describe(action: argparse.Action) -> dict[str, Any]:
    is_flag = action.nargs == 0
    kind = getattr(action.type, '__name__', None) or 'str'
    default = action.default
    plain = (str, int, float, bool, list, type(None))
    return dict(
        name=action.dest,
        flags=action.option_strings,
        type='bool' if is_flag else kind.strip('_'),
        count=action.nargs if not is_flag else None,
        choices=list(action.choices) if action.choices else None,
        default=default if isinstance(default, plain) else str(default),
        required=action.required,
        help=action.help,
    )
