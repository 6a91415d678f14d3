"""Give a data set the splits that a recipe needs."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from lvt_dense.datasets.own.formats.labeled_data import (
    ALL,
    SPLITS,
    LabeledData,
    Sample,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten
from lvt_dense.utils.threads import map_in_threads

VAL_SHARE = 0.2
_BLOCK = 4096  # bytes


def complete_splits(
    data: LabeledData, to_train: bool = True, whole: bool = False
) -> None:
    """Make sure that there are ``train``, ``val`` and ``test``, in place.

    A missing ``val`` is cut from ``train`` by a hash of the file names, so
    that an image stays on its side when others are added. A missing or
    unlabeled ``test`` is ``val``.

    Args:
        data: Labels.
        to_train: Whether ``train`` must be there; else what there is stands
            for it.
        whole: Take all images of data without splits for ``test``.

    Raises:
        UserError: There is nothing to train on, or to test.
    """
    splits = data.splits
    for split, count in data.unlabeled.items():
        if split == 'test' and len(splits.keys() - {'test'}):
            data.notes.append(
                f'test: {count} images without labels, which cannot be '
                'scored; val is tested in their place'
            )
            splits.pop('test', None)
        else:
            raise UserError(
                f'--data {data.root}: the {split} split has {count} images '
                'but no labels'
            )
    if ALL in splits:
        _name_all(data, 'test' if whole else 'train')
    if 'train' not in splits:
        if not to_train:
            _stand_in(data)
            return
        raise UserError(
            f'--data {data.root}: there is no train split, only '
            f'{shorten(splits)} ({shorten(data.sources.values())}); put '
            'train into the name of its folder or annotation file'
        )
    if 'val' not in splits:
        train, val = cut(splits['train'], data)
        splits['train'], splits['val'] = train, val
        data.sources['val'] = f'{VAL_SHARE:.0%} of train'
        if 'train' in data.category_ids:
            data.category_ids['val'] = data.category_ids['train']
        data.notes.append(
            f'there is no val split: {len(val)} of {len(train) + len(val)} '
            f'training images ({VAL_SHARE:.0%}, chosen by a hash of the '
            'file name) are held out for it'
        )
    if 'test' not in splits:
        splits['test'] = splits['val']
        data.sources['test'] = 'val'
    data.splits = {s: splits[s] for s in SPLITS}


def _name_all(data: LabeledData, split: str) -> None:
    """Take the images of data without splits for those of a split."""
    data.splits[split] = data.splits.pop(ALL)
    data.sources[split] = data.sources.pop(ALL, '')
    if ALL in data.category_ids:
        data.category_ids[split] = data.category_ids.pop(ALL)


def _stand_in(data: LabeledData) -> None:
    """Let the splits that are there stand for those that are not."""
    splits, ids = data.splits, data.category_ids
    known = 'test' if 'test' in splits else 'val'
    data.notes.append(
        f'there is no train split: the {len(splits[known])} images of '
        f'{known} are tested'
    )
    for split in SPLITS:
        source = split if split in splits else known
        splits[split] = splits[source]
        if source in ids:
            ids[split] = ids[source]
    data.splits = {s: splits[s] for s in SPLITS}


def cut(
    samples: list[Sample], data: LabeledData
) -> tuple[list[Sample], list[Sample]]:
    """Cut the samples of ``val`` from those of ``train``.

    Raises:
        UserError: There is one image only.
    """
    if len(samples) < 2:
        raise UserError(
            f'--data {data.root}: one image is not enough to train and to '
            'validate'
        )
    shares = {id(s): share_of(s.path.name) for s in samples}
    val = [s for s in samples if shares[id(s)] < VAL_SHARE]
    if len(val) in (0, len(samples)):
        val = [min(samples, key=lambda s: shares[id(s)])]
    chosen = {id(s) for s in val}
    return [s for s in samples if id(s) not in chosen], val


def share_of(name: str) -> float:
    """Map a file name to a fixed number in [0, 1), evenly spread."""
    digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape')).digest()
    return int.from_bytes(digest[:8], 'big') / 2**64


def shared_images(data: LabeledData) -> list[str]:
    """Describe the images that are in two splits, by path or by content.

    Files of one size with the same bytes at their start, middle and end
    count as equal; large sets are not read as a whole.
    """
    by_size: dict[int, set] = defaultdict(set)
    for split, sample in _distinct(data):
        by_size[sample.path.stat().st_size].add((split, sample.path))
    groups = [
        (size, group)
        for size, group in by_size.items()
        if len({split for split, _ in group}) > 1
    ]
    paths = [(path, size) for size, group in groups for _, path in group]
    read = map_in_threads(lambda item: _sample_bytes(*item), paths, 'images')
    digests = {path: digest for (path, _), digest in zip(paths, read)}
    found = []
    for _, group in groups:
        by_content: dict[bytes, set] = defaultdict(set)
        for split, path in group:
            by_content[digests[path]].add((split, path))
        for same in by_content.values():
            if len({split for split, _ in same}) > 1:
                first = dict(sorted(same, reverse=True))
                names = sorted(f'{p.name} ({s})' for s, p in first.items())
                found.append(' = '.join(names[:2]))
    return sorted(found)


def _sample_bytes(path: Path, size: int) -> bytes:
    """Return a digest of the start, the middle and the end of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        if size <= 3 * _BLOCK:
            digest.update(file.read())
            return digest.digest()
        for start in (0, size // 2, size - _BLOCK):
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return digest.digest()


def _distinct(data: LabeledData) -> Iterable[tuple[str, Sample]]:
    seen: list[list[Sample]] = []
    for split, samples in data.splits.items():
        if any(samples is other for other in seen):
            continue  # test that is val
        seen.append(samples)
        yield from ((split, sample) for sample in samples)
