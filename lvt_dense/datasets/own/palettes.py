"""Palettes of masks: one for all files, or files that differ."""

from collections import Counter
from pathlib import Path

from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.errors import UserError

from .mask_files import Color, Scan


def find_palette(
    data: LabeledData, scans: dict[Path, Scan]
) -> dict[int, Color] | None:
    """Find the palette by whose colors all masks are to be read.

    That is so where the palettes have the same colors in different order,
    where other masks are stored as those colors, or as their gray levels.

    Args:
        data: Gets a note.
        scans: What the masks hold.

    Returns:
        Colors of the indices; None where indices are labels as they stand.

    Raises:
        UserError: Files have different colors under one index.
    """
    paletted = {p: s for p, s in scans.items() if s.mode == 'palette'}
    if not paletted:
        return None
    shared, count = _most_common(paletted)
    colors = set(shared.values())
    differs = None
    for path, scan in paletted.items():
        if any(shared.get(v, c) != c for v, c in scan.palette.items()):
            differs = path
            if not set(scan.palette.values()) <= colors:
                raise UserError(
                    f'mask {path}: its palette has other colors than that of '
                    f'{count} other masks, so that neither indices nor colors '
                    'tell the classes; save all masks with one palette'
                )
    others = [s for s in scans.values() if s.mode != 'palette']
    if differs is None and not any(_shows(s, shared) for s in others):
        return None
    if len(colors) < len(shared):
        raise UserError(
            f'--data {data.root}: the masks are stored in different modes or '
            'with different palettes, and two classes have one color; save '
            'all masks with one palette'
        )
    example = f' ({differs.name})' if differs else ''
    data.notes.append(
        'the masks are stored in different modes or with palettes in '
        f'different order{example}: their colors tell the classes'
    )
    return shared


def _most_common(scans: dict[Path, Scan]) -> tuple[dict[int, Color], int]:
    """Return the palette that most files agree with, and their number."""
    groups: list[tuple[dict[int, Color], Counter]] = []
    for scan in scans.values():
        for palette, files in groups:
            if all(palette.get(v, c) == c for v, c in scan.palette.items()):
                palette.update(scan.palette)
                files['files'] += 1
                break
        else:
            groups.append((dict(scan.palette), Counter(files=1)))
    palette, files = max(groups, key=lambda group: group[1]['files'])
    return palette, files['files']


def _shows(scan: Scan, palette: dict[int, Color]) -> bool:
    """Whether a mask without a palette holds its colors, not indices."""
    if scan.mode == 'rgb':
        return not scan.tint
    values = set(scan.counts)
    levels = {c[0] for c in palette.values() if len(set(c)) == 1}
    return not values <= {*palette, 255} and values <= levels
