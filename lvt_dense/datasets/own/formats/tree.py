"""The files of a data set, and how labels name them."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES
from lvt_dense.utils.text import shorten

_SKIPPED = ('__macosx', '__pycache__', '@eadir', 'work_dirs')
# Names that people give their splits.
_SPLIT_WORDS = {
    'train': ('train', 'training', 'trn'),
    'val': ('val', 'valid', 'validation', 'dev', 'minival', 'eval'),
    'test': ('test', 'testing', 'tst'),
    'trainval': ('trainval',),
}
_SPLIT_OF = {w: s for s, words in _SPLIT_WORDS.items() for w in words}


class Tree:
    """All files under a folder, without hidden ones.

    Args:
        root: Folder of the data set.

    Raises:
        UserError: It is not there, no folder, or empty.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            what = 'is a file' if self.root.exists() else 'is not there'
            raise UserError(
                f'--data {root} {what}: give the folder of a data set'
            )
        self.files = _walk(self.root)
        if not self.files:
            raise UserError(f'--data {root}: the folder is empty')

    @cached_property
    def by_suffix(self) -> dict[str, list[Path]]:
        """Files under their suffix in lower case."""
        found = defaultdict(list)
        for path in self.files:
            found[path.suffix.lower()].append(path)
        return found

    @cached_property
    def images(self) -> list[Path]:
        """Image files, in order of their path."""
        found = [p for s in IMAGE_SUFFIXES for p in self.by_suffix.get(s, ())]
        return sorted(found)

    @cached_property
    def images_by_name(self) -> dict[str, list[Path]]:
        """Image files under their name in lower case."""
        found = defaultdict(list)
        for path in self.images:
            found[path.name.lower()].append(path)
        return found

    @cached_property
    def images_by_stem(self) -> dict[str, list[Path]]:
        """Image files under their name without suffix, in lower case."""
        found = defaultdict(list)
        for path in self.images:
            found[path.stem.lower()].append(path)
        return found

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files with one of these suffixes, in order."""
        found = [p for s in suffixes for p in self.by_suffix.get(s, ())]
        return sorted(found)

    def relative(self, path: Path) -> str:
        """Return a path from the root, with forward slashes."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def describe(self) -> str:
        """Say what is in the folder."""
        top = sorted(
            entry.name + ('/' if entry.is_dir() else '')
            for entry in self.root.iterdir()
            if not entry.name.startswith('.')
        )
        counts = Counter(p.suffix.lower() or 'none' for p in self.files)
        kinds = [f'{n} x {suffix}' for suffix, n in counts.most_common(6)]
        return f'{shorten(top, 8)} ({", ".join(kinds)})'

    def find_image(
        self, name: str, folders: Iterable[Path], split: str | None = None
    ) -> Path | None:
        """Find the image that a label names.

        Paths of another machine, of Windows too, are found by their last
        parts where these say enough.

        Args:
            name: As the label has it.
            folders: Where to look first, in this order.
            split: Split of the label; decides between images of one name.

        Returns:
            The file; None if there is none, or if several fit equally well.
        """
        name = str(name).strip().replace('\\', '/')
        if not name:
            return None
        for folder in folders:
            path = folder / name
            if path.is_file():
                return path
        parts = [p.lower() for p in name.split('/') if p not in ('', '.')]
        found = self.images_by_name.get(parts[-1], [])
        return _best(found, parts, split, self.root)

    def find_stem(
        self, stem: str, near: Path, split: str | None = None
    ) -> Path | None:
        """Find the image with the stem of a label file.

        Args:
            stem: Name without suffix.
            near: The label file, whose folders decide between several.
            split: Split of the label, likewise.
        """
        found = self.images_by_stem.get(stem.lower(), [])
        parts = [p.lower() for p in near.relative_to(self.root).parts[:-1]]
        same = [p for p in found if p.stem == stem]
        found = same or found
        beside = [p for p in found if p.parent == near.parent]
        if len(beside) == 1:
            return beside[0]
        if len(found) > 1 and split is None:
            split = split_of(near.relative_to(self.root).parts)
        return _best(found, [*parts, '?'], split, self.root)


def _walk(root: Path) -> list[Path]:
    files = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(
            f
            for f in folders
            if not f.startswith('.') and f.lower() not in _SKIPPED
        )
        files += [Path(folder, n) for n in names if not n.startswith('.')]
    return sorted(files)


def _best(
    found: list[Path], parts: list[str], split: str | None, root: Path
) -> Path | None:
    if len(found) < 2:
        return found[0] if found else None

    def rank(path: Path) -> tuple[int, int]:
        own = path.relative_to(root).parts
        common = 0
        for a, b in zip(reversed(own[:-1]), reversed(parts[:-1])):
            if a.lower() != b:
                break
            common += 1
        return int(split is not None and split_of(own[:-1]) == split), common

    ranked = sorted(found, key=rank, reverse=True)
    if rank(ranked[0]) == rank(ranked[1]):
        return None
    return ranked[0]


def split_of(parts: Iterable[str]) -> str | None:
    """Find the split that the parts of a path name, the last part first.

    Args:
        parts: Names of folders and file, such as ``('instances_val2017',)``.

    Returns:
        ``'train'``, ``'val'``, ``'test'``, ``'trainval'`` or None.
    """
    for part in reversed(list(parts)):
        words = re.findall('[a-z]+', part.lower())
        found = {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}
        if len(found) == 1:
            return found.pop()
        joined = re.sub('[^a-z]', '', part.lower())
        if joined in ('trainannot', 'valannot', 'testannot'):
            return joined.removesuffix('annot')
    return None


def files_by_split(
    tree: Tree, files: Iterable[Path]
) -> dict[str | None, list[Path]]:
    """Sort files by the split that their paths speak of."""
    found: dict[str | None, list[Path]] = defaultdict(list)
    for path in files:
        relative = path.relative_to(tree.root)
        found[split_of([*relative.parts[:-1], relative.stem])].append(path)
    return dict(found)
