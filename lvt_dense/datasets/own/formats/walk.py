"""List the files of a folder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lvt_dense.utils.text import shorten

from .split_names import words_of

_SKIPPED = ('__macosx', '__pycache__', '@eadir', 'work_dirs')
_SPLIT_WORDS = {'train', 'training', 'val', 'valid', 'validation', 'test'}
_Key = tuple[int, int]


class Entry(NamedTuple):
    """A file: its name from the root, bytes, and nanoseconds."""

    name: str
    size: int
    time: int


class _Walk:
    """Lists each real folder once, under one name."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.entries: list[Entry] = []
        self.links: list[tuple[str, str]] = []
        self.seen: dict[_Key, str] = {}
        self.renamed: dict[str, str] = {}
        self.unreadable: list[str] = []

    def run(self) -> None:
        self._list('', self.root)
        while self.links:
            self.links.sort(reverse=True)
            self._follow(*self.links.pop())

    def _list(self, prefix: str, folder: str) -> None:
        stack = [(prefix, folder)]
        while stack:
            prefix, folder = stack.pop()
            info = os.stat(folder)
            key = info.st_dev, info.st_ino
            if key in self.seen:
                continue
            self.seen[key] = prefix
            try:
                with os.scandir(folder) as entries:
                    stack += self._sort(prefix, entries)
            except OSError:
                self.unreadable.append(prefix or '.')

    def _sort(
        self, prefix: str, entries: Iterator[os.DirEntry]
    ) -> list[tuple[str, str]]:
        """Keep the files, and return the folders."""
        folders = []
        for entry in entries:
            if entry.name.startswith('.'):
                continue
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name.lower() not in _SKIPPED:
                    folders.append((f'{name}/', entry.path))
                continue
            try:
                info = entry.stat()
            except OSError:
                continue  # a link to nothing
            if stat.S_ISDIR(info.st_mode):
                self.links.append((f'{name}/', entry.path))
            elif stat.S_ISREG(info.st_mode):
                self.entries.append(
                    Entry(name, info.st_size, info.st_mtime_ns)
                )
        return folders

    def _follow(self, prefix: str, link: str) -> None:
        """List the folder behind a link, unless it is listed already.

        A link named for a split gives its name to a folder without one.
        """
        target = os.path.realpath(link)
        if self.root.startswith(target.rstrip('/') + '/'):
            return  # a link upwards
        info = os.stat(target)
        known = self.seen.get((info.st_dev, info.st_ino))
        if known is None:
            self._list(prefix, target)
        elif known:
            name = prefix.rstrip('/').rpartition('/')[2]
            named = words_of(name) & _SPLIT_WORDS
            if named and not words_of(known) & _SPLIT_WORDS:
                self.renamed.setdefault(known, prefix)


def walk(root: Path) -> tuple[list[Entry], list[str]]:
    """List all files under a folder, hidden ones left out.

    Links are followed; a folder that several of them lead to is listed once.

    Returns:
        The files in order, and notes on what could not be listed.
    """
    found = _Walk(root)
    found.run()
    entries = found.entries
    for old, new in found.renamed.items():
        entries = [
            e._replace(name=new + e.name.removeprefix(old))
            if e.name.startswith(old)
            else e
            for e in entries
        ]
    notes = []
    if found.unreadable:
        notes.append(
            f'{len(found.unreadable)} folders cannot be listed: '
            f'{shorten(found.unreadable, 3)}'
        )
    return sorted(entries), notes
