"""Recognize the splits that names of folders and files stand for."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

SPLITS = ('train', 'val', 'test')
# Names that people give their splits.
_SPLIT_WORDS = {
    'train': ('train', 'training', 'trn'),
    'val': ('val', 'valid', 'validation', 'dev', 'minival', 'eval'),
    'test': ('test', 'testing', 'tst'),
    'trainval': ('trainval',),
}
_SPLIT_OF = {w: s for s, words in _SPLIT_WORDS.items() for w in words}
_JOINED = {f'{split}annot': split for split in SPLITS}  # as of SegNet
# Words beside which the word of a split means the split.
PLAIN_WORDS = {
    *('image', 'images', 'img', 'imgs', 'jpegimages', 'jpeg', 'jpg', 'png'),
    *('leftimg', 'bit', 'rgb', 'raw', 'pictures', 'photos', 'frames'),
    *('label', 'labels', 'annotation', 'annotations', 'annot', 'ann', 'anns'),
    *('mask', 'masks', 'gt', 'gtfine', 'seg', 'segmentation', 'xml', 'xmls'),
    *('instance', 'instances', 'semantic', 'panoptic', 'bbox', 'boxes'),
    *('object', 'objects', 'person', 'keypoints', 'polygons', 'groundtruth'),
    *('coco', 'yolo', 'voc', 'json', 'txt', 'set', 'split', 'list', 'dir'),
    *('data', 'dataset', 'fold', 'part', 'mini', 'info', 'new', 'final', 'v'),
    *('old', 'copy', 'backup', 'orig', 'original', 'fixed', 'full', 'small'),
    *_SPLIT_OF,
    *_JOINED,
}
_LABELS = ('.json', '.txt', '.yaml', '.yml', '.xml', '.csv')


def words_of(name: str) -> set[str]:
    """Return the words in a name, in lower case."""
    return set(re.findall('[a-z]+', name.lower()))


@cache
def _read(name: str) -> tuple[str | None, tuple[str, ...], bool]:
    """Read one name.

    Returns:
        The split that it speaks of, the name with a star in the place of the
        split, and whether all other words are plain.
    """
    words = re.findall('[a-z]+', name.lower())
    joined = ''.join(words)
    if joined in _JOINED:
        return _JOINED[joined], ('*', 'annot'), True
    found = {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}
    if found == {'test', 'val'} and 'dev' in words:
        found = {'test'}  # test-dev
    if len(found) != 1:
        return None, (), False
    pattern = tuple('*' if word in _SPLIT_OF else word for word in words)
    return found.pop(), pattern, set(words) <= PLAIN_WORDS


class SplitNames:
    """The names in a data set that speak of its splits.

    A name of plain words, such as ``images_train`` or ``val2017``, does; one
    with other words, such as ``crash_test``, only where another name differs
    from it in nothing but the split, such as ``crash_train``.

    Args:
        paths: All files, from the root, with forward slashes.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_pattern: dict[tuple, set[str]] = defaultdict(set)
        self._by_place: dict[tuple, set[str]] = defaultdict(set)
        folders = set()
        for path in paths:
            folder, _, name = path.rpartition('/')
            folders.add(folder)
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in _LABELS:
                parts = folder.split('/') if folder else []
                self._add((*parts, stem))
        for folder in sorted(folders):
            parts = folder.split('/') if folder else []
            for end in range(1, len(parts) + 1):
                self._add(tuple(parts[:end]))

    def _add(self, parts: tuple[str, ...]) -> None:
        split, pattern, _ = _read(parts[-1])
        if split:
            self._by_pattern[pattern].add(split)
            self._by_place[self._place(parts, pattern)].add(split)

    @staticmethod
    def _place(parts: tuple[str, ...], pattern: tuple[str, ...]) -> tuple:
        return tuple(p.lower() for p in parts[:-1]), pattern

    def split_of(self, parts: tuple[str, ...]) -> str | None:
        """Find the split that the parts of a path name.

        Where several parts name different ones, that one counts which has
        other splits beside it, and else the last.
        """
        named = []
        for end in range(len(parts), 0, -1):
            split, pattern, is_plain = _read(parts[end - 1])
            if split and (is_plain or len(self._by_pattern[pattern]) > 1):
                place = self._place(parts[:end], pattern)
                named.append((split, len(self._by_place[place]) > 1))
        if len({split for split, _ in named}) > 1:
            beside = [item for item in named if item[1]]
            named = beside or named
        return named[0][0] if named else None
