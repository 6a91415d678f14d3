"""Semantic masks: how their values become labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lvt_dense.datasets.label_maps import ignored_label
from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    MaskClass,
    Sample,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .classes import is_void
from .mask_files import NEAR, Color, Pixels, Scan, gray_of
from .palettes import find_palette

_INSTANCES = 4  # different numbers of values that make one suspicious
_BINARY = ('background', 'foreground')
_GRAY = 0x010101  # times a gray level is its color
_LOSSY = ('.jpg', '.jpeg')
_MAX_FLAT = 0.002  # share of flat gray areas in black and white masks


@dataclass
class Coding:
    """How values become labels.

    Attributes:
        classes: Names of the classes.
        colors: Their colors, or None.
        label_of: Label of every value that counts.
        by: What values are: ``'value'`` as they stand, ``'color'`` the color
            they stand for, ``'level'`` its gray level, of which those from
            128 on are label 1, or ``'nonzero'``.
    """

    classes: list[str]
    colors: list[Color] | None
    label_of: dict[int, int]
    by: str = 'value'

    @property
    def ignored(self) -> int:
        """Label of the pixels that do not count."""
        return ignored_label(len(self.classes))

    @property
    def is_binary(self) -> bool:
        """Whether a threshold decides between two labels."""
        return self.by in ('level', 'nonzero')

    def is_identity(self, scan: Scan) -> bool:
        """Whether the values of a mask are labels as they stand."""
        if not scan.is_plain or self.ignored != 255 or self.by == 'color':
            return False
        codes = self._codes(np.array(list(scan.counts)), scan)
        return all(
            self._label(code) == value
            for value, code in zip(scan.counts, codes.tolist())
        )

    def apply(self, pixels: Pixels) -> np.ndarray:
        """Turn values into labels, uint8, or uint16 for many classes."""
        dtype = np.uint8 if self.ignored == 255 else np.uint16
        values = pixels.values
        if values.dtype.kind == 'f':
            values = values.astype(np.int64)
        unique, inverse = np.unique(values, return_inverse=True)
        codes = self._codes(unique.astype(np.int64), pixels)
        labels = [self._label(code) for code in codes.tolist()]
        table = np.array(labels, dtype)
        return table[inverse].reshape(values.shape)

    def counts(self, scan: Scan) -> Counter:
        """Count the pixels of every label in a mask; -1 is the ignored one."""
        found: Counter = Counter()
        counts = scan.counts
        if self.by != 'color' and scan.mode == 'rgb':
            counts = {level * _GRAY: n for level, n in scan.tint.items()}
        codes = self._codes(np.array(list(counts), np.int64), scan)
        for code, number in zip(codes.tolist(), counts.values()):
            label = self._label(code)
            found[-1 if label == self.ignored else label] += number
        return found

    def _label(self, code: int) -> int:
        if self.by == 'level':
            return int(code >= 128)
        if self.by == 'nonzero':
            return int(code > 0)
        return self.label_of.get(code, self.ignored)

    def _codes(self, values: np.ndarray, source: Scan | Pixels) -> np.ndarray:
        """Turn the values of a file into what labels stand for."""
        if self.by in ('color', 'level'):
            values = _colors_of(values, source)
            return gray_of(values) if self.by == 'level' else values
        return gray_of(values) if source.mode == 'rgb' else values


def _colors_of(values: np.ndarray, source: Scan | Pixels) -> np.ndarray:
    """Return packed colors."""
    if source.mode == 'rgb':
        return values
    if source.mode == 'palette':
        colors = [source.palette.get(v, (0, 0, 0)) for v in values.tolist()]
        return np.array([pack(c) for c in colors], np.int64)
    return values * _GRAY


def pack(color: Color) -> int:
    """Return a color as r * 65536 + g * 256 + b."""
    return color[0] << 16 | color[1] << 8 | color[2]


def unpack(value: int) -> Color:
    """Return the color of an integer."""
    return value >> 16, value >> 8 & 255, value & 255


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
    good = {path: scan for path, scan in scans.items() if not scan.error}
    if not good:
        raise UserError(next(iter(scans.values())).error)
    table = list(data.table)
    if len(table) == 1:
        table = _add_background(data, table, good)
    if _is_of_colors(table, good):
        return _by_color(data, good, table)
    modes = {scan.mode for scan in good.values()}
    palette = find_palette(data, good)
    if 'rgb' in modes:
        if all(s.tint for s in good.values() if s.mode == 'rgb'):
            good = {
                path: replace(s, mode='gray', counts=s.tint) if s.tint else s
                for path, s in good.items()
            }
        elif palette is None:
            _refuse_colors(data, good)
    if palette is not None:
        return _by_palette(data, good, table, palette, names)
    colors = _shared_palette(good) if 'palette' in modes else None
    if len(table) == 2 and not _has_values(table) and _is_blurred(good):
        return _by_level(data, [c.name for c in table])
    if table:
        return _by_table(data, good, table, colors)
    return _by_value(data, good, names, colors)


def _has_values(table: list[MaskClass]) -> bool:
    """Whether a table says the values of its classes, or their colors."""
    return any(c.value is not None or c.color for c in table)


def _add_background(
    data: LabeledData, table: list[MaskClass], scans: dict[Path, Scan]
) -> list[MaskClass]:
    """Put the background before the only class of a table."""
    values = {v for s in scans.values() for v in s.counts}
    if _has_values(table) or is_void(table[0].name):
        return table
    if not (values in ({0, 1}, {0, 255}) or _is_blurred(scans)):
        return table
    data.notes.append(
        f'the table names {table[0].name} alone, and the masks have two '
        'values: 0 is the background'
    )
    return [MaskClass(_BINARY[0]), *table]


def _is_of_colors(table: list[MaskClass], scans: dict[Path, Scan]) -> bool:
    """Whether the colors of a table tell the classes of the masks."""
    known = {c.color for c in table if c.color}
    if not known:
        return False
    if any(s.mode in ('rgb', 'palette') for s in scans.values()):
        return True
    values = {v for s in scans.values() for v in s.counts}
    return not values <= {*range(len(table)), 255} and all(
        (v, v, v) in known for v in values
    )


def _by_color(
    data: LabeledData, scans: dict[Path, Scan], table: list[MaskClass]
) -> Coding:
    """Map the colors of a table; the indices of palettes stand for colors."""
    kept = [c for c in table if not is_void(c.name) and c.color]
    known = {pack(c.color) for c in table if c.color}
    for path, scan in scans.items():
        values = np.array(list(scan.counts), np.int64)
        colors = set(_colors_of(values, scan).tolist())
        if not scan.counts:
            raise UserError(
                f'mask {path} was compressed with loss, so that its colors '
                'are not those of the table; save masks as PNG'
            )
        unknown = [unpack(color) for color in sorted(colors - known)]
        if unknown and path.suffix.lower() in _LOSSY:
            raise UserError(
                f'mask {path} is a JPEG, whose compression has made '
                f'{len(unknown)} colors that the table lacks; save masks as '
                'PNG'
            )
        if unknown:
            data.findings.add(
                'masks have colors that the table lacks, which do not count',
                f'{path.name} {shorten(unknown, 3)}',
            )
    _note_void(data, table)
    labels: dict[int, int] = {}
    for label, item in enumerate(kept):
        assert item.color is not None
        first = labels.setdefault(pack(item.color), label)
        if first != label:
            data.findings.add(
                'classes have the color of another class, for which their '
                'pixels count',
                f'{item.name} ({kept[first].name})',
            )
    own = [c.color for c in kept if c.color]
    return Coding([c.name for c in kept], own, labels, 'color')


def _note_void(data: LabeledData, table: list[MaskClass]) -> None:
    void = dict.fromkeys(c.name for c in table if is_void(c.name))
    if void:
        data.notes.append(f'{shorten(void)} is no class and does not count')


def _refuse_colors(data: LabeledData, scans: dict[Path, Scan]) -> None:
    colors = {
        unpack(v) for s in scans.values() if s.mode == 'rgb' for v in s.counts
    }
    raise UserError(
        f'--data {data.root}: the masks are RGB with {len(colors)} '
        f'colors ({shorten(sorted(colors), 6)}), and no table says which '
        'class each is; add class_dict.csv with the columns name,r,g,b'
    )


def _by_palette(
    data: LabeledData,
    scans: dict[Path, Scan],
    table: list[MaskClass],
    palette: dict[int, Color],
    names: Sequence[str] | None,
) -> Coding:
    """Tell classes by their colors, in the order of one palette."""
    known = {pack(color): index for index, color in palette.items()}
    indexed = {}
    for path, scan in scans.items():
        counts: Counter = Counter()
        values = np.array(list(scan.counts), np.int64)
        colors = _colors_of(values, scan).tolist()
        for color, number in zip(colors, scan.counts.values()):
            if color not in known:
                raise UserError(
                    f'mask {path} has the color {unpack(color)}, which the '
                    'palette of the other masks lacks; save all masks with '
                    'one palette, or add class_dict.csv with the columns '
                    'name,r,g,b'
                )
            counts[known[color]] += number
        indexed[path] = replace(
            scan, mode='palette', counts=dict(counts), palette=palette
        )
    if table:
        coding = _by_table(data, indexed, table, palette)
    else:
        coding = _by_value(data, indexed, names, palette)
    coding.label_of = {
        pack(palette[index]): label
        for index, label in coding.label_of.items()
        if index in palette
    }
    coding.by = 'color'
    return coding


def _shared_palette(scans: dict[Path, Scan]) -> dict[int, Color]:
    """Return the colors of the indices of all palettes."""
    return {v: c for s in scans.values() for v, c in s.palette.items()}


def _by_table(
    data: LabeledData,
    scans: dict[Path, Scan],
    table: list[MaskClass],
    colors: dict[int, Color] | None,
) -> Coding:
    """Map values by the ids of a table, or by its order."""
    valued = _values_of(data, scans, table)
    kept = [(c, v) for c, v in valued if not is_void(c.name)]
    known = {v for _, v in valued}
    if not _is_binary(scans):
        known.add(void_value(scans))
    for path, scan in scans.items():
        unknown = [v for v in scan.counts if v not in known]
        if unknown:
            data.findings.add(
                'masks have label values that no class has, which do not '
                'count',
                f'{path.name} ({shorten(unknown, 3)})',
            )
    _note_void(data, table)
    _note_order(data, scans, table)
    own = [c.color for c, _ in kept if c.color]
    if len(own) < len(kept):
        own = [colors[v] for _, v in kept if v in colors] if colors else []
    return Coding(
        [c.name for c, _ in kept],
        own if len(own) == len(kept) else None,
        {v: label for label, (_, v) in enumerate(kept)},
    )


def _note_order(
    data: LabeledData, scans: dict[Path, Scan], table: list[MaskClass]
) -> None:
    """Say how values were counted where one more is there than names."""
    values = {v for s in scans.values() for v in s.counts}
    extra = values - {void_value(scans)} == set(range(len(table) + 1))
    if extra and not any(c.value is not None for c in table):
        data.notes.append(
            f'the masks have the values 0 to {len(table)}, and the table '
            f'names {len(table)} classes: {table[0].name} is 0, and '
            f'{len(table)} does not count; if 0 is the background, name it '
            'first'
        )


def _values_of(
    data: LabeledData, scans: dict[Path, Scan], table: list[MaskClass]
) -> list[tuple[MaskClass, int]]:
    """Return the value of each class of a table."""
    valued = [
        (c, index if c.value is None else c.value)
        for index, c in enumerate(table)
    ]
    values = sorted({v for s in scans.values() for v in s.counts})
    number = len(table)
    if _is_binary(scans) and {v for _, v in valued} == {0, 1}:
        return [(c, 255 * v) for c, v in valued]
    void = void_value(scans)
    ids = set(range(number)) | {void}
    if any(c.value is not None for c in table) or set(values) <= ids:
        return valued
    levels = [round(i * 255 / max(number - 1, 1)) for i in range(number)]
    spread = levels if set(values) <= set(levels) else []
    for ordered in (spread, values, [v for v in values if v != void]):
        if len(ordered) == number:
            data.notes.append(
                f'the masks have the values {shorten(values, 12)}, which '
                f'are the {number} classes of the table in this order'
            )
            return list(zip(table, ordered))
    return valued


def void_value(scans: dict[Path, Scan]) -> int:
    """Return the value of ignored pixels: the last one of the bit depth."""
    highest = max(max(s.counts, default=0) for s in scans.values())
    return 255 if highest < 256 else 65535


def _is_binary(scans: dict[Path, Scan]) -> bool:
    values = {v for s in scans.values() for v in s.counts}
    return values == {0, 255}


def _is_mixed_binary(scans: dict[Path, Scan]) -> bool:
    """Whether some masks are 0 and 1, and others 0 and 255."""
    sets = [set(s.counts) for s in scans.values()]
    return (
        all(values <= {0, 1} or values <= {0, 255} for values in sets)
        and any(1 in values for values in sets)
        and any(255 in values for values in sets)
        and not any(values == {255} for values in sets)
    )


def _is_blurred(scans: dict[Path, Scan]) -> bool:
    """Whether masks are black and white but for lossy or smooth edges."""
    if any(s.mode == 'palette' for s in scans.values()):
        return False
    counts = sum((Counter(s.counts) for s in scans.values()), Counter())
    dark = sum(n for v, n in counts.items() if v < NEAR)
    light = sum(n for v, n in counts.items() if 255 - NEAR < v < 256)
    if not dark or not light or max(counts) > 255:
        return False
    if not any(128 <= v < 255 for v in counts):
        return False  # labels from 0 on, and 255 for what does not count
    dark_levels = sum(v < NEAR for v in counts)
    if dark_levels > 1 and dark_levels + 1 == len(counts):
        return False  # the same with another value, such as 254
    total = sum(counts.values())
    flat = sum(s.flat for s in scans.values())
    return flat <= _MAX_FLAT * total and dark + light > total / 2


def _is_even(values: Sequence[int]) -> bool:
    """Whether values are spread over all gray levels, 0 to 255."""
    last = len(values) - 1
    return last > 1 and all(
        abs(v - i * 255 / last) < 1 for i, v in enumerate(values)
    )


def _by_value(
    data: LabeledData,
    scans: dict[Path, Scan],
    names: Sequence[str] | None,
    colors: dict[int, Color] | None,
) -> Coding:
    """Map values that have no names."""
    values = sorted({v for s in scans.values() for v in s.counts})
    if values == [0, 255] and not colors:
        data.notes.append('the masks are 0 and 255: 255 is the foreground')
        return Coding(_named(data, 2, names, _BINARY), None, {0: 0, 255: 1})
    if _is_mixed_binary(scans):
        data.notes.append(
            'some masks are 0 and 1, others 0 and 255: both 1 and 255 are '
            'the foreground'
        )
        binary = _named(data, 2, names, _BINARY)
        return Coding(binary, None, {}, 'nonzero')
    if _is_blurred(scans):
        return _by_level(data, _named(data, 2, names, _BINARY))
    lossy = [p for p in scans if p.suffix.lower() in _LOSSY]
    if lossy:
        raise UserError(
            f'mask {lossy[0]} is a JPEG, whose compression has changed the '
            'labels; save masks as PNG'
        )
    void = void_value(scans)
    counted = [v for v in values if v != void]
    gaps = counted != list(range(len(counted)))
    if gaps and (_is_even(values) or len(names or ()) == len(values)):
        counted = values  # the last one is a class as well
    gaps = counted != list(range(len(counted)))
    given = [f'label_{v}' if gaps else f'class_{v}' for v in counted]
    if gaps:
        data.notes.append(
            f'the masks have the values {shorten(counted, 12)}, which become '
            f'the labels 0 to {len(counted) - 1}'
        )
    if not gaps and not names:
        _warn_of_instances(data, scans, void)
    own = [colors[v] for v in counted if v in colors] if colors else []
    return Coding(
        _named(data, len(counted), names, given),
        own if own and len(own) == len(counted) else None,
        {v: label for label, v in enumerate(counted)},
    )


def _warn_of_instances(
    data: LabeledData, scans: dict[Path, Scan], void: int
) -> None:
    """Say that values may number the objects of each image."""
    lasts = set()
    for scan in scans.values():
        values = sorted(set(scan.counts) - {void})
        if values != list(range(len(values))):
            return
        lasts.add(len(values))
    if len(lasts) >= _INSTANCES:
        data.findings.add(
            'masks have the values 0, 1, ... without a gap, up to another '
            'one each: if these number the objects of an image, they are no '
            'classes',
            shorten([p.name for p in scans], 2),
            len(scans),
        )


def _by_level(data: LabeledData, classes: list[str]) -> Coding:
    """Tell two classes by a threshold."""
    data.notes.append(
        'the masks are black and white with blurred edges: values from 128 '
        'on are the foreground'
    )
    return Coding(classes, None, {}, 'level')


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
