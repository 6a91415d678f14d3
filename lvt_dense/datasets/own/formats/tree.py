"""The files of a data set, and how labels name them."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES
from lvt_dense.utils.text import compose, fold, shorten

from .labeled_data import EXACT, SPLITS
from .split_names import PLAIN_WORDS, SplitNames, words_of
from .walk import walk

# Folders of pictures that are labels themselves.
_MASK_FOLDERS = {
    *('segmentationclass', 'segmentationobject', 'segmentationclassaug'),
    *('segmentationclasspng', 'mask', 'masks', 'trimaps'),
}


class Match(NamedTuple):
    """An image that a label names.

    Attributes:
        path: The file.
        strength: ``EXACT``, or how many folders of its path the label has.
    """

    path: Path
    strength: int


class Tree:
    """All files under a folder, without hidden ones.

    Folders that symbolic links lead to are listed once.

    Args:
        root: Folder of the data set.
        masks: Whether outlines of objects are wanted, not boxes alone.

    Attributes:
        root: The folder.
        masks: As given.
        notes: What could not be listed.
        known: Large files that a layout has recognized as its own.

    Raises:
        UserError: It is not there, no folder, or empty.
    """

    def __init__(self, root: str | Path, masks: bool = True) -> None:
        self.root = Path(root).expanduser()
        self.masks = masks
        if not self.root.is_dir():
            what = 'is a file' if self.root.exists() else 'is not there'
            raise UserError(
                f'--data {root} {what}: give the folder of a data set'
            )
        self._entries, self.notes = walk(self.root)
        if not self._entries:
            raise UserError(f'--data {root}: the folder is empty')
        self._prefixes: dict[Path, str | None] = {}
        self.known: set[Path] = set()

    # What is known already is found by the fingerprint alone, without paths.
    @cached_property
    def _paths(self) -> dict[str, Path]:
        """Files under their name from the root."""
        base = str(self.root)
        return {e.name: Path(base, e.name) for e in self._entries}

    @cached_property
    def files(self) -> list[Path]:
        """The files in order."""
        return list(self._paths.values())

    @cached_property
    def _names(self) -> SplitNames:
        return SplitNames(entry.name for entry in self._entries)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the names, sizes and times of all files."""
        digest = hashlib.sha256()
        for entry in self._entries:
            line = f'{entry.name}\0{entry.size}\0{entry.time}\n'
            digest.update(line.encode('utf-8', 'surrogateescape'))
        return digest.hexdigest()

    @cached_property
    def by_suffix(self) -> dict[str, list[Path]]:
        """Files under their suffix in lower case."""
        found = defaultdict(list)
        for path in self.files:
            found[os.path.splitext(path.name)[1].lower()].append(path)
        return found

    @cached_property
    def images(self) -> list[Path]:
        """Image files, in order of their path."""
        return self.with_suffix(*IMAGE_SUFFIXES)

    @cached_property
    def images_by_name(self) -> dict[str, list[Path]]:
        """Image files under their name, folded."""
        found = defaultdict(list)
        for path in self.images:
            found[fold(path.name)].append(path)
        return found

    @cached_property
    def images_by_stem(self) -> dict[str, list[Path]]:
        """Image files under their name without suffix, folded."""
        found = defaultdict(list)
        for path in self.images:
            found[fold(os.path.splitext(path.name)[0])].append(path)
        return found

    @cached_property
    def _by_folded_name(self) -> dict[str, Path]:
        """Files under their path from the root, folded."""
        return {fold(name): path for name, path in self._paths.items()}

    @cached_property
    def _image_folders(self) -> set[str]:
        """Names of all folders that hold images, folded."""
        parents = {path.parent for path in self.images}
        return {name for p in parents for name in self._folders_of(p / 'x')}

    @cached_property
    def _has_repeats(self) -> bool:
        """Whether images in several folders have one name."""
        return any(len(same) > 1 for same in self.images_by_name.values())

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files with one of these suffixes, in order."""
        found = [p for s in suffixes for p in self.by_suffix.get(s, ())]
        return sorted(found, key=str)

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

    def find_alike(self, path: Path) -> Path | None:
        """Find a file whose path differs in case or composition at most."""
        return self._by_folded_name.get(fold(self.relative(path)))

    def split_of(self, parts: Iterable[str]) -> str | None:
        """Find the split that the parts of a path name.

        Args:
            parts: Names of folders and file, from the root.

        Returns:
            ``'train'``, ``'val'``, ``'test'``, ``'trainval'`` or None.
        """
        return self._names.split_of(tuple(parts))

    def find_image(
        self, name: str, folders: Iterable[Path], split: str | None = None
    ) -> Match | None:
        """Find the image that a label names.

        Paths of another machine, of Windows too, are found by their last
        parts where these say enough.

        Args:
            name: As the label has it.
            folders: Where to look first, in this order.
            split: Split of the label; decides between images of one name.

        Returns:
            None if there is no such image, or if several fit equally well.
        """
        name = name.strip().replace('\\', '/').removeprefix('./')
        if not name:
            return None
        for folder in folders:
            prefix = self._prefix(folder)
            if prefix is not None and prefix + name in self._paths:
                return Match(self._paths[prefix + name], EXACT)
        if not name.isascii():
            for folder in folders:
                alike = self.find_alike(folder / name)
                if alike is not None and compose(alike.name) == compose(
                    name.rpartition('/')[2]
                ):
                    return Match(alike, EXACT)
        for folder in folders:
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isfile(path):
                return Match(Path(path), EXACT)
        parts = [fold(p) for p in name.split('/') if p not in ('', '.')]
        if not parts:
            return None
        found = self.images_by_name.get(parts[-1], [])
        address = '' if found else read_address(name)
        if address:
            return self.find_image(address, folders, split)
        return self._choose(found, parts[:-1], split)

    def find_stem(
        self, stem: str, near: Path, split: str | None = None
    ) -> Match | None:
        """Find the image with the stem of a label file.

        Args:
            stem: Name without suffix.
            near: The label file, whose folders decide between several.
            split: Split of the label, likewise.
        """
        found = self.images_by_stem.get(fold(stem), [])
        same = [p for p in found if compose(p.stem) == compose(stem)]
        found = same or found
        beside = [p for p in found if p.parent == near.parent]
        if len(beside) == 1:
            return Match(beside[0], EXACT)
        found = [p for p in found if p.parent.name.lower()
                 not in _MASK_FOLDERS]  # fmt: skip
        if len(found) > 1 and split is None:
            split = self.split_of(near.relative_to(self.root).parts)
        return self._choose(found, self._folders_of(near), split)

    def _prefix(self, folder: Path) -> str | None:
        """Return a folder from the root, to be put before a name."""
        if folder not in self._prefixes:
            prefix: str | None = None
            if folder == self.root or self.root in folder.parents:
                inner = folder.relative_to(self.root).as_posix()
                prefix = '' if inner == '.' else f'{inner}/'
            self._prefixes[folder] = prefix
        return self._prefixes[folder]

    def _folders_of(self, path: Path) -> list[str]:
        return [fold(p) for p in path.relative_to(self.root).parts[:-1]]

    def _choose(
        self, found: Sequence[Path], folders: list[str], split: str | None
    ) -> Match | None:
        """Choose the image whose folders agree with those of the label."""
        ranked = []
        for path in found:
            own = self._folders_of(path)
            own_split = self.split_of(own)
            if self._contradicts(own, own_split, folders, split):
                continue
            common = 0
            for a, b in zip(reversed(own), reversed(folders)):
                if a != b:
                    break
                common += 1
            is_same = split is not None and own_split == split
            ranked.append((int(is_same), common, path))
        ranked.sort(key=lambda item: item[:2], reverse=True)
        if not ranked or (len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]):
            return None
        return Match(ranked[0][2], ranked[0][1])

    def _contradicts(
        self,
        own: list[str],
        own_split: str | None,
        folders: list[str],
        split: str | None,
    ) -> bool:
        """Whether an image lies in another folder than the label says.

        The label of cam1/0001 is none of cam2/0001 if there is a folder
        cam1.
        """
        if (
            self._has_repeats
            and split in SPLITS
            and own_split not in (None, split, 'trainval')
        ):
            return True
        return any(
            name in self._image_folders
            and name not in own
            and not words_of(name) <= PLAIN_WORDS
            for name in folders
        )


def read_address(name: str) -> str:
    """Return the path in an address of the web, or of Label Studio.

    These have escapes such as ``%20``, and a query, which is the path itself
    in ``/data/local-files/?d=...``.

    Returns:
        An empty text if it is a plain path.
    """
    path, _, query = name.partition('?')
    path = parse_qs(query).get('d', [unquote(path)])[0]
    path = path.replace('\\', '/')
    return '' if path == name else path


def files_by_split(
    tree: Tree, files: Iterable[Path]
) -> dict[str | None, list[Path]]:
    """Sort label files by the split that their folders name.

    Names of the files count only where each of them names a split.
    """
    by_folder: dict[str | None, list[Path]] = defaultdict(list)
    by_name: dict[str | None, list[Path]] = defaultdict(list)
    for path in files:
        parts = path.relative_to(tree.root).parts[:-1]
        by_folder[tree.split_of(parts)].append(path)
        by_name[tree.split_of([path.stem])].append(path)
    named = len(by_name) > 1 and None not in by_name
    return dict(by_name if named and set(by_folder) == {None} else by_folder)
