"""Summarize a data set in a table, with warnings."""

import re
from collections import Counter
from statistics import median

from mmengine.config import Config

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.own.formats.labeled_data import LabeledData, Sample
from lvt_dense.utils.text import shorten

from .splits import shared_images

SMALL = 8  # pixels; what is smaller is hardly seen at stride 16
_SHOWN_CLASSES = 30
_SIZE_STEP = 32


def make_table(data: LabeledData) -> str:
    """Lay out images, sizes and objects of every split as text."""
    splits = data.splits
    shown: list[str] = []
    rows = [['']]
    for split, samples in splits.items():
        same = [s for s in shown if splits[s] is samples]
        if same:
            rows[0][1 + shown.index(same[0])] += f' (= {split})'
        else:
            shown.append(split)
            rows[0].append(split)

    def row(name: str, values: list) -> None:
        rows.append([name, *map(str, values)])

    row('images', [len(splits[s]) for s in shown])
    row('size, median', [_median_size(splits[s]) for s in shown])
    row('size, range', [_size_range(splits[s]) for s in shown])
    counts = {s: count_labels(splits[s]) for s in shown}
    totals = {s: sum(counts[s].values()) or 1 for s in shown}
    masks = has_masks(data)
    if masks:
        row('pixels', [f'{totals[s] / 1e6:.1f} M' for s in shown])
    else:
        empty = [sum(not x.objects for x in splits[s]) for s in shown]
        row('without objects', empty)
        row('objects', [sum(counts[s].values()) for s in shown])
        ignored = [count_ignored(splits[s]) for s in shown]
        if any(ignored):
            row('  (do not count)', ignored)
    order = list(range(len(data.classes)))
    if len(data.classes) > _SHOWN_CLASSES:
        by_number = sorted(order, key=lambda i: -counts['train'][i])
        order = by_number[:_SHOWN_CLASSES]
    for label in order:
        row(
            f'  {data.classes[label]}',
            [
                f'{counts[s][label] / totals[s]:.2%}'
                if masks
                else counts[s][label]
                for s in shown
            ],
        )
    if len(data.classes) > _SHOWN_CLASSES:
        row(f'  {len(data.classes) - _SHOWN_CLASSES} more classes', [])
    if masks:
        share = [f'{counts[s][-1] / totals[s]:.2%}' for s in shown]
        row('  (does not count)', share)
    return f'{_head(data)}\n{_aligned(rows)}'


def _head(data: LabeledData) -> str:
    splits: dict[str, list[str]] = {}
    for split, source in data.sources.items():
        if source and source != split:
            splits.setdefault(source, []).append(split)
    sources = shorten(
        f'{"/".join(names)} {_from(source)}'
        for source, names in splits.items()
    )
    noun = 'class' if len(data.classes) == 1 else 'classes'
    return f'{data.root}: {data.layout}, {len(data.classes)} {noun}' + (
        f'; {sources}' if sources else ''
    )


def _from(source: str) -> str:
    return source if source.startswith('by ') else f'from {source}'


def _aligned(rows: list[list[str]]) -> str:
    columns = max(map(len, rows))
    rows = [r + [''] * (columns - len(r)) for r in rows]
    widths = [max(len(r[i]) for r in rows) for i in range(columns)]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        lines.append('  '.join([first, *rest]).rstrip())
    return '\n'.join(lines)


def _median_size(samples: list[Sample]) -> str:
    if not samples:
        return '-'
    width = median(s.width for s in samples)
    return f'{width:.0f} x {median(s.height for s in samples):.0f}'


def _size_range(samples: list[Sample]) -> str:
    sizes = {(s.width, s.height) for s in samples}
    if len(sizes) < 2:
        return 'all alike' if sizes else '-'
    ws, hs = zip(*sizes)
    return f'{min(ws)}-{max(ws)} x {min(hs)}-{max(hs)}'


def count_objects(samples: list[Sample]) -> Counter:
    """Count the objects of every label that count."""
    return Counter(o.label for s in samples for o in s.objects
                   if not o.is_crowd)  # fmt: skip


def count_ignored(samples: list[Sample]) -> int:
    """Count crowds, and what is too difficult or marked to be ignored."""
    return sum(o.is_crowd for s in samples for o in s.objects)


def count_labels(samples: list[Sample]) -> Counter:
    """Count objects, or pixels of masks, of every label."""
    found = count_objects(samples)
    for sample in samples:
        found.update(sample.pixels)
    return found


def has_masks(data: LabeledData) -> bool:
    """Whether the labels are semantic masks."""
    return any(s.mask is not None for s in data.splits['train'])


def find_warnings(cfg: Config, data: LabeledData) -> list[str]:
    """Collect what may spoil a training or its metrics, one line each.

    Args:
        cfg: The config with which the data will be used.
        data: Labels with all splits.
    """
    lines = data.findings.lines()
    twins = find_twins(data.classes)
    if twins:
        lines.append(
            'classes whose names differ in case, spaces or signs alone are '
            f'classes of their own: {shorten(twins)}'
        )
    for split in ('train', 'val'):
        counts = count_labels(data.splits[split])
        absent = [n for i, n in enumerate(data.classes) if not counts[i]]
        if absent:
            lines.append(
                f'{len(absent)} of {len(data.classes)} classes never occur '
                f'in {split}: {shorten(absent)}'
            )
    shared = shared_images(data)
    if shared:
        lines.append(
            f'{len(shared)} images are in two splits, which makes the '
            f'metrics look better than they are: {shorten(shared, 3)}'
        )
    small = small_objects(cfg, data.splits['train'])
    if small:
        lines.append(small)
    return lines


def find_twins(names: list[str]) -> list[str]:
    """Return the names that may be meant for one class, joined by "and"."""
    groups: dict[str, list[str]] = {}
    for name in names:
        plain = re.sub(r'[\s_.-]+', '', name.casefold())
        groups.setdefault(plain or name, []).append(name)
    return [' and '.join(g) for g in groups.values() if len(g) > 1]


def small_objects(cfg: Config, samples: list[Sample]) -> str | None:
    """Say whether most objects are too small at the input size.

    The side of an object is the root of its box's area, after the resize of
    the test pipeline.

    Returns:
        The warning with a size that would do, or None.
    """
    resize = _resize_of(cfg)
    if resize is None:
        return None
    width, height = resize['scale']
    sides = []
    for sample in samples:
        x_scale, y_scale = width / sample.width, height / sample.height
        if resize.get('keep_ratio'):
            long, short = max(width, height), min(width, height)
            x_scale = y_scale = min(
                long / max(sample.width, sample.height),
                short / min(sample.width, sample.height),
            )
        for item in sample.objects:
            area = item.bbox[2] * item.bbox[3] * x_scale * y_scale
            sides.append(area**0.5)
    if not sides or median(sides) >= SMALL:
        return None
    share = sum(side < SMALL for side in sides) / len(sides)
    factor = SMALL / median(sides)
    better = [
        int(-(-side * factor // _SIZE_STEP)) * _SIZE_STEP
        for side in (width, height)
    ]
    return (
        f'{share:.0%} of the objects are smaller than {SMALL} pixels at the '
        f'input size {width} x {height} (median {median(sides):.1f}); '
        f'{better[0]} x {better[1]} would do: set the scale of Resize in '
        'train_dataloader, val_dataloader and test_dataloader'
    )


def settings_of(cfg: Config) -> str:
    """Return what of a config the summary and the labels depend on."""
    datasets = [*dataset_cfgs(cfg, 'train'), *dataset_cfgs(cfg, 'test')]
    steps = [step for d in datasets for step in d.get('pipeline') or []]
    kept = [
        dict(step)
        for step in steps
        if 'scale' in step or 'FilterObjects3D' in str(step.get('type'))
    ]
    classes = [(d.get('type'), d.get('metainfo')) for d in datasets]
    return repr((kept, classes, bands_of(cfg)))


def bands_of(cfg: Config | None) -> int:
    """Return the number of bands of the images that a model takes."""
    model = (cfg or {}).get('model') or {}
    return (model.get('backbone') or {}).get('in_channels', 3)


def _resize_of(cfg: Config) -> dict | None:
    for dataset in dataset_cfgs(cfg, 'test'):
        for step in dataset.get('pipeline') or []:
            scale = step.get('scale')
            if isinstance(scale, (list, tuple)) and len(scale) == 2:
                return step
    return None
