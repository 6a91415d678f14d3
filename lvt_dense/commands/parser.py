"""What all commands share: the parser, and one clear line for bad input."""

import argparse
import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lvt_dense.runtime.errors import InputError
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import suggest_or_list


class Parser(argparse.ArgumentParser):
    """A parser that answers a wrong option in one line, with near names.

    Args:
        kwargs: Those of :class:`argparse.ArgumentParser`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **kwargs,
        )

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments, after a look at the names of the options."""
        given = list(sys.argv[1:] if args is None else args)
        known = self._option_string_actions
        for word in given:
            if word == '--':
                break
            name = word.split('=')[0]
            if name.startswith('--') and name not in known:
                hint = suggest_or_list(name, known)
                self.error(f'there is no option {name}; {hint}')
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        print(f'error: {message} (see {self.prog} --help)', file=sys.stderr)
        sys.exit(2)


class ConfigOptions(argparse.Action):
    """MMEngine's ``KEY=VALUE`` options, imported when they are used."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Parse the values into a dict by dotted key."""
        from mmengine.config import DictAction

        for value in values:
            if '=' not in value:
                parser.error(
                    f'{option_string} {value}: expected KEY=VALUE, such as '
                    'train_dataloader.batch_size=8'
                )
        action = DictAction(self.option_strings, self.dest)
        action(parser, namespace, values, option_string)


def command(main: Callable[..., None]) -> Callable[..., None]:
    """Decorate the ``main`` of a script.

    A :class:`UserError` becomes one line on stderr and exit status 2, also
    when it was raised in a data loader's worker process; so does a package
    that is not installed.
    """

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        # onedl-mmdetection announces an optional package at every import
        warnings.filterwarnings('ignore', message='faster_coco_eval')
        try:
            main(*args, **kwargs)
        except (UserError, InputError) as error:
            print(f'error: {one_line(error)}', file=sys.stderr)
            sys.exit(2)
        except ModuleNotFoundError as error:
            if not error.name or error.name.startswith('lvt_dense'):
                raise
            print(
                f'error: the package {error.name} is missing; `lvt-dense '
                'doctor` tells what to install',
                file=sys.stderr,
            )
            sys.exit(2)
        except KeyboardInterrupt:
            print('error: interrupted', file=sys.stderr)
            sys.exit(130)

    return run


def one_line(error: Exception) -> str:
    """Return an error's message without the traceback that a worker adds."""
    text = str(error).strip()
    if 'Original Traceback' in text:
        text = text.splitlines()[-1].split('UserError: ', 1)[-1]
    return ' '.join(text.split())
