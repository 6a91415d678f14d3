"""The user's cache folder, for what is derived from a data set."""

import contextlib
import hashlib
import os
from pathlib import Path

from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically


def cache_dir() -> Path:
    """Return the folder, ``$XDG_CACHE_HOME/lvt_dense`` or that of ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'lvt_dense'


def write_quietly(path: Path, content: str) -> None:
    """Write a cache file; ignore errors, as it can be computed again."""
    with contextlib.suppress(OSError):
        write_atomically(path, content)


def store(kind: str, name: str, content: bytes) -> Path:
    """Write content under a name that holds its digest.

    Args:
        kind: Folder inside the cache.
        name: Name of the file; the digest comes before it.
        content: What is written, unless it is there already.

    Returns:
        Path of the file.

    Raises:
        UserError: The cache folder cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = cache_dir() / kind / digest / name
    if path.is_file() and path.stat().st_size == len(content):
        return path
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(
            f'{path.parent}: {error.strerror}; let the environment variable '
            'XDG_CACHE_HOME name a folder that can be written'
        ) from None
    return path
