"""Decide which label an image belongs to if several name it."""

from collections import defaultdict

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .labeled_data import EXACT, LabeledData, Sample


def settle_matches(data: LabeledData) -> None:
    """Leave one sample an image in every split, in place.

    An image that is listed twice, each time with a part of its objects, gets
    the objects of both. One that labels of other names were matched with, for
    want of their own, is that of the best match alone.

    Raises:
        UserError: Labels of ``val`` or ``test`` are left without an image.
    """
    best: dict = defaultdict(int)
    for samples in data.splits.values():
        for sample in samples:
            best[sample.path] = max(best[sample.path], sample.strength)
    for split, samples in data.splits.items():
        if len({s.path for s in samples}) == len(samples) and all(
            s.strength == best[s.path] for s in samples
        ):
            continue
        data.splits[split] = _settle(data, split, samples, best)


def _settle(
    data: LabeledData, split: str, samples: list[Sample], best: dict
) -> list[Sample]:
    groups: dict = defaultdict(list)
    lost = []
    for sample in samples:
        if sample.strength < best[sample.path]:
            lost.append(sample)
        else:
            groups[sample.path].append(sample)
    kept = []
    for same in groups.values():
        names = {s.name for s in same}
        if same[0].strength < EXACT and len(names) > 1:
            lost += same
            continue
        if len(same) > 1:
            _merge(same)
            data.findings.add(
                'images are listed several times, and have the objects of '
                'all their entries',
                same[0].path.name,
            )
        kept.append(same[0])
    _report(data, split, lost, len(samples))
    return kept


def _merge(same: list[Sample]) -> None:
    known = {(o.label, o.bbox) for o in same[0].objects}
    for sample in same[1:]:
        new = [o for o in sample.objects if (o.label, o.bbox) not in known]
        same[0].objects += new
        known |= {(o.label, o.bbox) for o in new}


def _report(
    data: LabeledData, split: str, lost: list[Sample], total: int
) -> None:
    if not lost:
        return
    names = [f'{s.name} (not {s.path.name})' for s in lost]
    if split in ('val', 'test') or len(lost) == total:
        raise UserError(
            f'{split}: {len(lost)} of {total} images are not under '
            f'{data.root}; others of the same name are, which belong to '
            f'other labels: {shorten(names, 3)}'
        )
    for name in names:
        data.findings.add(
            'images are not there and are left out; others of the same name '
            'belong to other labels',
            name,
        )
