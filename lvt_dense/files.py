"""Checkpoints that are whole or not there, and the newest whole one."""

import os
import re
import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

ATOMIC = 'lvt_dense.atomic'
_PARTIAL = '.partial'


class AtomicBackend(LocalBackend):
    """Local files that appear under their name only when complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a temporary name, flush them, and rename."""
        write_atomically(Path(filepath), obj)


register_backend(ATOMIC, AtomicBackend, force=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all.

    Args:
        path: File; its folder is created, an older file is replaced.
        content: Bytes, or text that is written as UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + _PARTIAL)
    data = content.encode() if isinstance(content, str) else content
    with open(partial, 'wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The complete ``epoch_N.pth`` or ``iter_N.pth`` with the largest N."""
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
    """Whether a file of ``torch.save`` has all its bytes.

    The format is a zip file, whose directory is written last.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
