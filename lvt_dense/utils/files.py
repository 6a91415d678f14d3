"""Read text files, and write files completely or not at all."""

import os
import re
import secrets
import shutil
import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from lvt_dense.utils.errors import UserError

# Suffixes of image files, in lower case.
IMAGE_SUFFIXES = (
    '.png',
    '.jpg',
    '.jpeg',
    '.bmp',
    '.webp',
    '.tif',
    '.tiff',
    '.gif',
    '.ppm',
    '.pgm',
    '.pnm',
    '.avif',
)
ATOMIC = 'lvt_dense.atomic'
_PARTIAL = '.partial'


class AtomicBackend(LocalBackend):
    """Local files that appear under their name only when complete.

    MMEngine removes an old checkpoint before it writes the new one, and on a
    full disk would be left with neither. So a file that is removed stays
    until the next one is complete.
    """

    _waiting: list[Path] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a temporary name, flush them, and rename."""
        path = Path(filepath)
        write_atomically(path, obj)
        for old in self._waiting:
            if old.resolve() != path.resolve():
                old.unlink(missing_ok=True)
        self._waiting.clear()

    def remove(self, filepath: str | Path) -> None:
        """Remove a file once the next one is written."""
        self._waiting.append(Path(filepath))


register_backend(ATOMIC, AtomicBackend, force=True)


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark.

    A byte order mark of UTF-8 is left out.

    Raises:
        UserError: The file is missing, or is in another encoding.
    """
    try:
        data = Path(path).read_bytes()
        if data.startswith((b'\xff\xfe', b'\xfe\xff')):
            return data.decode('utf-16')
        return data.decode('utf-8-sig')
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f'{path}: cannot be read as text: {error}; save it as UTF-8'
        ) from None


def write_atomically(
    path: str | Path, content: bytes | bytearray | str, sync: bool = True
) -> None:
    """Write a file whole or not at all.

    Args:
        path: File; its folder is created, an older file is replaced.
        content: Bytes, or text that is written as UTF-8.
        sync: Wait until the content is on the disk, so that it outlives a
            power failure too. It takes milliseconds a file, too many for
            thousands of small ones.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path)
    data = content.encode() if isinstance(content, str) else content
    try:
        with open(partial, 'wb') as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        error.filename = str(path)  # of a full disk, Python does not say
        raise
    finally:
        partial.unlink(missing_ok=True)


def _partial_name(path: Path) -> Path:
    """Choose a name beside a file that no other thread or machine has."""
    return path.with_name(f'{path.name}.{secrets.token_hex(8)}{_PARTIAL}')


def duplicate(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk has no links.

    Args:
        source: The file; it is replaced, and not changed, from then on.
        target: The other name; an older file there is replaced.
    """
    partial = _partial_name(target)
    try:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """Find the complete ``epoch_N.pth`` or ``iter_N.pth`` of the largest N."""
    numbered = []
    for path in Path(work_dir).glob('*.pth'):
        match = re.fullmatch(r'(?:epoch|iter)_(\d+)\.pth', path.name)
        if match:
            numbered.append((int(match.group(1)), path))
    for _, path in sorted(numbered, reverse=True):
        if is_complete(path):
            return path
    return None


def is_complete(path: Path) -> bool:
    """Check whether a file of ``torch.save`` is complete.

    The format is a zip file, whose directory is written last.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
