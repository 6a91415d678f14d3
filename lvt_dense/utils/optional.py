"""Import optional packages, and say why where that fails."""

import traceback
from importlib import import_module, metadata
from types import ModuleType

from .errors import UserError
from .install import find_source

_LONGEST = 200  # characters of a reason


def import_optional(
    name: str, user: str, extra: str = '', package: str = ''
) -> ModuleType:
    """Import a package that is not required.

    Args:
        name: Import name, such as ``'onnx'``.
        user: What needs it; the first words of the message.
        extra: Extra of this package that installs it, such as ``'export'``.
        package: What pip installs to get it, if there is no extra.

    Raises:
        UserError: The package is missing, or its import fails. The message
            names the module that failed, which may be one that the package
            imports, and the reason.
    """
    try:
        return import_module(name)
    except Exception as error:  # compiled packages raise errors of all kinds
        install = find_source(extra) if extra else package
        raise UserError(
            f'{user} needs {name.partition(".")[0]}, '
            f'{explain_import(name, error, install)}'
        ) from error


def explain_import(name: str, error: Exception, install: str) -> str:
    """Say in half a sentence why the import of a package failed.

    Args:
        name: The package.
        error: What its import raised.
        install: What pip installs to get it, quoted for a shell.
    """
    package = name.partition('.')[0]
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition('.')[0]
        if missing == package:
            return f'which is not installed: pip install {install}'
        return (
            f'which imports {missing}, which is not installed: pip install '
            f'{missing}'
        )
    failed = _failing_package(error) or package
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:_LONGEST]
    through = '' if failed == package else f'which imports {failed}, '
    return (
        f'{through}which is installed{_version(failed)}, but cannot be '
        f'imported: {reason}; install a version of it that fits the other '
        'packages'
    )


def _failing_package(error: Exception) -> str:
    """Return the package whose import was under way when it failed."""
    found = ''
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == '<module>':
            found = str(frame.f_globals.get('__name__', ''))
    return found.partition('.')[0]


def _version(package: str) -> str:
    try:
        return f' ({metadata.version(package)})'
    except metadata.PackageNotFoundError:
        return ''
