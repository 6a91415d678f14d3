"""The user's cache folder, for what is derived from a data set."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.logging import print_log

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

_QUIET = 2  # seconds to wait for another process without a word
_PATIENCE = 1800  # seconds


def cache_dir() -> Path:
    """Return the folder, ``$XDG_CACHE_HOME/lvt_dense`` or that of ~/.cache."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'lvt_dense'


def write_quietly(path: Path, content: bytes | str) -> None:
    """Write a cache file; ignore errors, as it can be computed again."""
    with contextlib.suppress(OSError):
        write_atomically(path, content)


@contextlib.contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Let one process at a time make a file of the cache.

    Args:
        path: The file.
        work: What the process does that holds the lock, for messages.

    Raises:
        UserError: Another process holds the lock for half an hour.
    """
    lock = FileLock(path.with_name(f'{path.name}.lock'))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_QUIET)
        except Timeout:
            print_log(
                f'waiting for another process, which {work}',
                logger='current',
            )
            lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise UserError(
            f'waited {_PATIENCE // 60} minutes for another process, which '
            f'{work}; if there is none, remove {lock.lock_file}'
        ) from None
    except OSError:  # a cache that cannot be written is done without
        yield
        return
    try:
        yield
    finally:
        lock.release()


def read_records(kind: str, root: Path, version: int) -> dict[str, list]:
    """Read what was recorded of the files of a data set.

    Args:
        kind: What is recorded, such as ``headers``.
        root: Folder of the data set.
        version: Version of the records; those of another one are ignored.

    Returns:
        A record for each path; empty if there is no file, or one that is
        damaged.
    """
    try:
        text = _records_path(kind, root).read_text(encoding='utf-8')
        digest, _, body = text.partition('\n')
        if digest == _digest(body.encode()):
            content = json.loads(body)
            if content['version'] == version:
                return content['entries']
    except (OSError, ValueError):
        pass
    return {}


def write_records(
    kind: str, root: Path, version: int, entries: dict[str, list]
) -> None:
    """Write the records that :func:`read_records` reads."""
    body = json.dumps(dict(version=version, entries=entries))
    text = f'{_digest(body.encode())}\n{body}'
    write_quietly(_records_path(kind, root), text)


def _records_path(kind: str, root: Path) -> Path:
    return cache_dir() / f'{kind}_{_digest(os.fsencode(root.resolve()))}.json'


def _digest(content: bytes | bytearray) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def store(kind: str, name: str, content: bytes | bytearray) -> Path:
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
    path = cache_dir() / kind / _digest(content) / name
    try:
        if path.is_file() and path.read_bytes() == content:
            return path
        write_atomically(path, content)
    except OSError as error:
        raise UserError(
            f'{path.parent}: {error.strerror}; let the environment variable '
            'XDG_CACHE_HOME name a folder that can be written'
        ) from None
    return path
