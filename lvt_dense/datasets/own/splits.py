"""Give a data set the splits that a recipe needs."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from lvt_dense.datasets.own.formats.labeled_data import (
    ALL,
    LabeledData,
    Sample,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

VAL_SHARE = 0.2


def complete_splits(data: LabeledData) -> None:
    """Make sure that there are ``train``, ``val`` and ``test``, in place.

    A missing ``val`` is cut from ``train`` by a hash of the file names, so
    that an image stays on its side when others are added. A missing or
    unlabeled ``test`` is ``val``.

    Raises:
        UserError: There is nothing to train on.
    """
    splits = data.splits
    for split, count in data.unlabeled.items():
        if split == 'test':
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
        splits['train'] = splits.pop(ALL)
        data.sources['train'] = data.sources.pop(ALL, '')
    if 'train' not in splits:
        raise UserError(
            f'--data {data.root}: there is no train split, only '
            f'{shorten(splits)} ({shorten(data.sources.values())}); put '
            'train into the name of its folder or annotation file'
        )
    if 'val' not in splits:
        train, val = cut(splits['train'], data)
        splits['train'], splits['val'] = train, val
        data.sources['val'] = f'{VAL_SHARE:.0%} of train'
        data.notes.append(
            f'there is no val split: {len(val)} of {len(train) + len(val)} '
            f'training images ({VAL_SHARE:.0%}, chosen by a hash of the '
            'file name) are held out for it'
        )
    if 'test' not in splits:
        splits['test'] = splits['val']
        data.sources['test'] = 'val'
    data.splits = {s: splits[s] for s in ('train', 'val', 'test')}


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
    """Describe the images that are in two splits, by path or by content."""
    by_size: dict[int, set] = defaultdict(set)
    for split, sample in _distinct(data):
        by_size[sample.path.stat().st_size].add((split, sample.path))
    found = []
    for group in by_size.values():
        if len({split for split, _ in group}) < 2:
            continue
        by_content: dict[bytes, set] = defaultdict(set)
        for split, path in group:
            digest = hashlib.sha256(path.read_bytes()).digest()
            by_content[digest].add((split, path))
        for same in by_content.values():
            if len({split for split, _ in same}) > 1:
                names = sorted(f'{p.name} ({s})' for s, p in same)
                found.append(' = '.join(names[:2]))
    return sorted(found)


def _distinct(data: LabeledData) -> Iterable[tuple[str, Sample]]:
    seen: list[list[Sample]] = []
    for split, samples in data.splits.items():
        if any(samples is other for other in seen):
            continue  # test that is val
        seen.append(samples)
        yield from ((split, sample) for sample in samples)
