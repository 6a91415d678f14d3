"""Semantic masks: what values they hold, and label maps made of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    MaskClass,
    Sample,
)
from lvt_dense.datasets.transforms.seg_loading import ignored_label
from lvt_dense.utils.cache import read_records, write_records
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

_VERSION = 1
_MAX_VALUES = 4096  # of one mask that are remembered
# Names that people give to what does not count.
_VOID = {
    *('void', 'unlabeled', 'unlabelled', 'ignore', 'ignored', 'dontcare'),
    *("don't care", 'dont care', 'unknown', '_ignore_', '__ignore__'),
}
_BINARY = ('background', 'foreground')
_NEAR = 16  # gray levels that lossy compression moves black and white by
_CLEAR_SHARE = 0.9  # of the pixels of such masks


@dataclass
class Scan:
    """What a mask holds.

    Attributes:
        size: Width and height.
        mode: ``'palette'``, ``'gray'`` or ``'rgb'``.
        counts: Pixels of every value; an RGB color is r * 65536 + g * 256 +
            b.
        palette: Colors of the values, for a palette.
        error: Why it could not be read; empty otherwise.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ''
    counts: dict[int, int] = field(default_factory=dict)
    palette: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    error: str = ''


def read_mask(path: Path) -> tuple[np.ndarray, dict[int, tuple]]:
    """Read the values of a mask, and the colors of its palette.

    Returns:
        (H, W) integers: labels, indices of a palette, or RGB colors as
        r * 65536 + g * 256 + b; and the palette, empty for the others.

    Raises:
        UserError: It is no picture.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode == 'P':
                flat = picture.getpalette('RGB') or []
                colors = zip(*(flat[i::3] for i in range(3)))
                return np.array(picture), dict(enumerate(colors))
            if picture.mode in ('LA', 'PA'):
                picture = picture.convert('L')
            if picture.mode not in ('1', 'L', 'I', 'I;16', 'I;16B', 'F'):
                picture = picture.convert('RGB')
            array = np.array(picture)
    except (OSError, ValueError, SyntaxError) as error:
        reason = str(error).split(" '", 1)[0]
        raise UserError(f'mask {path} cannot be read: {reason}') from None
    if array.ndim == 3:
        array = array.astype(np.int64) @ (65536, 256, 1)
    return array, {}


def _scan(path: Path) -> Scan:
    try:
        array, palette = read_mask(path)
    except UserError as error:
        return Scan(error=str(error))
    size = array.shape[1], array.shape[0]
    if array.dtype.kind == 'f' and not (array % 1 == 0).all():
        return Scan(error=f'mask {path} has values that are no integers')
    if array.dtype == np.uint8:
        numbers = np.bincount(array.ravel(), minlength=256)
        values = np.flatnonzero(numbers)  # much faster than np.unique
        numbers = numbers[values]
    else:
        array = array.astype(np.int64)
        values, numbers = np.unique(array, return_counts=True)
    if len(values) > _MAX_VALUES:
        return Scan(
            error=f'mask {path} has {len(values)} different values: it is a '
            'photograph, or was compressed with loss'
        )
    counts = dict(zip(values.tolist(), numbers.tolist()))
    if palette:
        used = {v: palette.get(v, (0, 0, 0)) for v in counts}
        return Scan(size, 'palette', counts, used)
    with Image.open(path) as picture:
        rgb = len(picture.getbands()) >= 3
    return Scan(size, 'rgb' if rgb else 'gray', counts)


def scan_masks(data: LabeledData) -> dict[Path, Scan]:
    """Look at all masks; what was seen before is remembered."""
    paths = [s.mask for samples in data.splits.values() for s in samples]
    paths = list(dict.fromkeys(p for p in paths if p is not None))
    known = read_records('masks', data.root, _VERSION)
    scans, entries, changed = {}, {}, False
    for path in tqdm(paths, 'masks', leave=False, delay=1):
        stamp = _stamp(path)
        entry = known.get(str(path))
        if entry is None or entry[0] != stamp:
            scan = _scan(path)
            entry = [
                stamp,
                scan.size,
                scan.mode,
                list(scan.counts.items()),
                list(scan.palette.items()),
                scan.error,
            ]
            changed = True
        entries[str(path)] = entry
        scans[path] = Scan(
            tuple(entry[1]),
            entry[2],
            dict(entry[3]),
            {k: tuple(c) for k, c in entry[4]},
            entry[5],
        )
    if changed:
        write_records('masks', data.root, _VERSION, entries)
    return scans


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_mtime_ns, stat.st_size]


@dataclass
class Coding:
    """How values become labels.

    Attributes:
        classes: Names of the classes.
        colors: Their colors, or None.
        label_of: Label of every value that counts.
        threshold: Whether values from 128 on are label 1, below it 0.
    """

    classes: list[str]
    colors: list[tuple[int, int, int]] | None
    label_of: dict[int, int]
    threshold: bool = False

    @property
    def ignored(self) -> int:
        """Label of the pixels that do not count."""
        return ignored_label(len(self.classes))

    def is_identity(self, scan: Scan) -> bool:
        """Whether the values of a mask are labels as they stand."""
        if self.threshold or scan.mode == 'rgb' or self.ignored != 255:
            return False
        return all(
            self.label_of.get(value, self.ignored) == value
            for value in scan.counts
        )

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Turn values into labels, uint8, or uint16 for many classes."""
        dtype = np.uint8 if self.ignored == 255 else np.uint16
        if self.threshold:
            return (values >= 128).astype(dtype)
        labels = np.full(values.shape, self.ignored, dtype)
        for value, label in self.label_of.items():
            labels[values == value] = label
        return labels

    def counts(self, scan: Scan) -> Counter:
        """Count the pixels of every label in a mask; -1 is the ignored one."""
        found: Counter = Counter()
        for value, number in scan.counts.items():
            label = self.label_of.get(value, -1)
            found[int(value >= 128) if self.threshold else label] += number
        return found


def find_coding(
    data: LabeledData,
    scans: dict[Path, Scan],
    names: Sequence[str] | None,
) -> Coding:
    """Find out how the values of all masks become labels.

    Args:
        data: With the table of classes, if there is one.
        scans: What the masks hold.
        names: From ``--classes``: a part of the classes, or the names of all
            where nothing else names them.

    Raises:
        UserError: The values cannot be told apart.
    """
    good = [scan for scan in scans.values() if not scan.error]
    if not good:
        raise UserError(next(iter(scans.values())).error)
    table = list(data.table)
    if any(c.color for c in table) and any(s.mode != 'gray' for s in good):
        return _by_color(data, scans, table)
    if any(s.mode == 'rgb' for s in good):
        return _gray_in_rgb(data, scans, names)
    values = sorted({v for s in good for v in s.counts})
    colors = _palette(scans) if good[0].mode == 'palette' else None
    if table:
        return _by_table(data, scans, table, colors)
    return _by_value(data, values, scans, names, colors)


def _by_color(
    data: LabeledData, scans: dict[Path, Scan], table: list[MaskClass]
) -> Coding:
    """Map the colors of a table; the indices of palettes stand for colors."""
    kept = [c for c in table if not _is_void(c.name) and c.color]
    known = {c.color for c in table if c.color}
    labels = {c.color: i for i, c in enumerate(kept)}
    label_of: dict[int, int] = {}
    for path, scan in scans.items():
        for value in scan.counts:
            color = scan.palette.get(value) or _split(value)
            if color not in known:
                data.findings.add(
                    'masks have a color that the table lacks, which does '
                    'not count',
                    f'{path.name} {color}',
                )
            label = labels.get(color)
            if label is None:
                continue
            if label_of.setdefault(value, label) != label:
                raise UserError(
                    f'mask {path}: its palette differs from that of others; '
                    'save the masks as RGB or with one palette'
                )
    _note_void(data, table)
    own = [c.color for c in kept if c.color]
    return Coding([c.name for c in kept], own, label_of)


def _split(value: int) -> tuple[int, int, int]:
    return value >> 16, value >> 8 & 255, value & 255


def _is_void(name: str) -> bool:
    return name.strip().lower() in _VOID


def _note_void(data: LabeledData, table: list[MaskClass]) -> None:
    void = [c.name for c in table if _is_void(c.name)]
    if void:
        data.notes.append(f'{shorten(void)} is no class and does not count')


def _gray_in_rgb(
    data: LabeledData,
    scans: dict[Path, Scan],
    names: Sequence[str] | None,
) -> Coding:
    """Tell gray pictures that were saved with three channels."""
    colors = {v for s in scans.values() if s.mode == 'rgb' for v in s.counts}
    triples = {v: _split(v) for v in colors}
    if any(len(set(t)) > 1 for t in triples.values()):
        shown = shorten(sorted(triples.values()), 6)
        raise UserError(
            f'--data {data.root}: the masks are RGB with {len(colors)} '
            f'colors ({shown}), and no table says which class each is; add '
            'class_dict.csv with the columns name,r,g,b'
        )
    gray = {
        path: Scan(
            s.size, 'gray', {_split(v)[0]: n for v, n in s.counts.items()}
        )
        if s.mode == 'rgb'
        else s
        for path, s in scans.items()
    }
    coding = find_coding(data, gray, names)
    for value, triple in triples.items():
        if coding.threshold:
            continue
        label = coding.label_of.get(triple[0])
        if label is not None:
            coding.label_of[value] = label
    return coding


def _palette(scans: dict[Path, Scan]) -> dict[int, tuple[int, int, int]]:
    """Return the colors of the indices; empty if files disagree."""
    colors: dict[int, tuple[int, int, int]] = {}
    for scan in scans.values():
        for value, color in scan.palette.items():
            if colors.setdefault(value, color) != color:
                return {}
    return colors


def _by_table(
    data: LabeledData,
    scans: dict[Path, Scan],
    table: list[MaskClass],
    colors: dict[int, tuple[int, int, int]] | None,
) -> Coding:
    """Map values by the ids of a table, or by its order."""
    valued = [
        (c, index if c.value is None else c.value)
        for index, c in enumerate(table)
    ]
    binary = _is_binary(scans)
    if binary and len(valued) == 2 and {v for _, v in valued} == {0, 1}:
        valued = [(c, 255 * v) for c, v in valued]
    kept = [(c, v) for c, v in valued if not _is_void(c.name)]
    known = {v for _, v in valued}
    if not binary:
        known.add(void_value(scans))
    _note_unknown(data, scans, known)
    _note_void(data, table)
    own = [c.color for c, _ in kept if c.color]
    if len(own) < len(kept):
        own = [colors[v] for _, v in kept if v in colors] if colors else []
    return Coding(
        [c.name for c, _ in kept],
        own if len(own) == len(kept) else None,
        {v: label for label, (_, v) in enumerate(kept)},
    )


def _note_unknown(
    data: LabeledData, scans: dict[Path, Scan], known: set[int]
) -> None:
    for path, scan in scans.items():
        unknown = [v for v in scan.counts if v not in known]
        if unknown:
            data.findings.add(
                'masks have label values that no class has, which do not '
                'count',
                f'{path.name} ({shorten(unknown, 3)})',
            )


def void_value(scans: dict[Path, Scan]) -> int:
    """Return the value of ignored pixels: the last one of the bit depth."""
    highest = max(max(s.counts, default=0) for s in scans.values())
    return 255 if highest < 256 else 65535


def _is_binary(scans: dict[Path, Scan]) -> bool:
    values = {v for s in scans.values() for v in s.counts}
    return values == {0, 255}


def _is_blurred(scans: dict[Path, Scan]) -> bool:
    """Whether masks are black and white but for lossy or smooth edges."""
    counts = sum((Counter(s.counts) for s in scans.values()), Counter())
    if not any(255 - _NEAR < v < 255 for v in counts) or max(counts) > 255:
        return False
    clear = sum(n for v, n in counts.items() if not _NEAR <= v <= 255 - _NEAR)
    return clear > _CLEAR_SHARE * sum(counts.values())


def _by_value(
    data: LabeledData,
    values: list[int],
    scans: dict[Path, Scan],
    names: Sequence[str] | None,
    colors: dict[int, tuple[int, int, int]] | None,
) -> Coding:
    """Map values that have no names."""
    if values == [0, 255]:
        data.notes.append('the masks are 0 and 255: 255 is the foreground')
        return Coding(_named(data, 2, names, _BINARY), None, {0: 0, 255: 1})
    if _is_blurred(scans):
        data.notes.append(
            'the masks are black and white with blurred edges: values from '
            '128 on are the foreground'
        )
        label_of = {v: int(v >= 128) for v in values}
        return Coding(
            _named(data, 2, names, _BINARY), None, label_of, threshold=True
        )
    lossy = [p for p in scans if p.suffix.lower() in ('.jpg', '.jpeg')]
    if lossy:
        raise UserError(
            f'mask {lossy[0]} is a JPEG, whose compression has changed the '
            'labels; save masks as PNG'
        )
    void = void_value(scans)
    counted = [v for v in values if v != void]
    gaps = counted != list(range(len(counted)))
    given = [f'label_{v}' if gaps else f'class_{v}' for v in counted]
    if gaps:
        data.notes.append(
            f'the masks have the values {shorten(counted, 12)}, which become '
            f'the labels 0 to {len(counted) - 1}'
        )
    own = [colors[v] for v in counted] if colors else None
    return Coding(
        _named(data, len(counted), names, given),
        own,
        {v: label for label, v in enumerate(counted)},
    )


def _named(
    data: LabeledData,
    count: int,
    names: Sequence[str] | None,
    given: Sequence[str],
) -> list[str]:
    """Return the names of ``--classes`` if there is one for each label."""
    if names and len(names) == count and not set(names) & set(given):
        return list(names)
    if not names:
        data.notes.append(
            f'no file names the classes: they are called '
            f'{shorten(given, 4)}; name all {count} with --classes, or add '
            'classes.txt with one name a line'
        )
    return list(given)


def sample_fault(sample: Sample, scan: Scan) -> str | None:
    """Say why the mask of a sample cannot be used, or None."""
    if scan.error:
        return scan.error
    if scan.size != (sample.width, sample.height):
        return (
            f'mask {sample.mask} is {scan.size[0]} x {scan.size[1]}, '
            f'its image {sample.width} x {sample.height}'
        )
    return None
