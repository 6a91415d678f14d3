"""Files of semantic masks: the values that they hold."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from lvt_dense.utils.cache import read_records, write_records
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.threads import map_in_threads

Color = tuple[int, int, int]

_VERSION = 2
_MAX_VALUES = 4096  # of one mask that are remembered
# Modes of Pillow whose arrays are (H, W) labels as they stand.
_PLAIN = ('L', 'P', 'I', 'I;16', 'I;16B', 'F')
_TINT = 40  # by which channels of a gray picture differ after lossy coding
NEAR = 16  # gray levels that lossy compression moves black and white by


@dataclass
class Pixels:
    """The values of a mask.

    Attributes:
        values: (H, W) integers: gray levels, indices of a palette, or RGB
            colors as r * 65536 + g * 256 + b.
        mode: ``'gray'``, ``'palette'``, ``'rgb'``, or ``'bit'`` for black
            and white, 0 and 255.
        palette: Colors of the indices, for a palette.
        is_plain: Whether the file is read as these values in place.
    """

    values: np.ndarray
    mode: str
    palette: dict[int, Color] = field(default_factory=dict)
    is_plain: bool = False


@dataclass
class Scan:
    """What a mask holds.

    Attributes:
        size: Width and height.
        mode: As of :class:`Pixels`.
        counts: Pixels of every value.
        palette: Colors of the values, for a palette.
        is_plain: As of :class:`Pixels`.
        tint: Pixels of every gray level, of an RGB mask whose channels
            hardly differ.
        flat: Pixels of neither black nor white inside areas of one level.
        error: Why it could not be read; empty otherwise.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ''
    counts: dict[int, int] = field(default_factory=dict)
    palette: dict[int, Color] = field(default_factory=dict)
    is_plain: bool = False
    tint: dict[int, int] = field(default_factory=dict)
    flat: int = 0
    error: str = ''

    @classmethod
    def from_record(cls, record: list) -> 'Scan':
        """Make one of what :meth:`to_record` returned."""
        size, mode, counts, palette, is_plain, tint, flat, error = record
        return cls(
            tuple(size),
            mode,
            dict(counts),
            {value: tuple(color) for value, color in palette},
            is_plain,
            dict(tint),
            flat,
            error,
        )

    def to_record(self) -> list:
        """Return the fields in JSON's types."""
        return [
            list(v.items()) if isinstance(v, dict) else v
            for v in astuple(self)
        ]


def read_pixels(path: Path) -> Pixels:
    """Read the values of a mask.

    Raises:
        UserError: It is no picture.
    """
    try:
        with Image.open(path) as picture:
            if getattr(picture, 'n_frames', 1) > 1:
                raise UserError(
                    f'mask {path} has {picture.n_frames} pictures; save one'
                )
            return _read(picture)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        reason = str(error).split(" '", 1)[0]
        raise UserError(f'mask {path} cannot be read: {reason}') from None


def _read(picture: Image.Image) -> Pixels:
    mode = picture.mode
    if mode in ('P', 'PA'):
        flat = picture.getpalette('RGB') or []
        colors = dict(enumerate(zip(*(flat[i::3] for i in range(3)))))
        array = np.array(picture)
        array = array[..., 0] if mode == 'PA' else array
        used = np.flatnonzero(np.bincount(array.ravel(), minlength=256))
        is_gray = all(colors.get(v) == (v, v, v) for v in used.tolist())
        if is_gray:
            return Pixels(array, 'gray', is_plain=mode == 'P')
        return Pixels(array, 'palette', colors, mode == 'P')
    if mode == '1':
        return Pixels(np.array(picture).astype(np.uint8) * 255, 'bit')
    if mode == 'LA':
        return Pixels(np.array(picture)[..., 0], 'gray')
    if mode in _PLAIN:
        return Pixels(np.array(picture), 'gray', is_plain=True)
    array = np.array(picture.convert('RGB'))
    if (array == array[..., :1]).all():
        return Pixels(array[..., 0], 'gray')
    return Pixels(pack_colors(array), 'rgb')


def pack_colors(colors: np.ndarray) -> np.ndarray:
    """Turn colors (..., 3) into integers, r * 65536 + g * 256 + b."""
    r, g, b = (colors[..., i].astype(np.int32) for i in range(3))
    return r << 16 | g << 8 | b


def gray_of(values: np.ndarray) -> np.ndarray:
    """Return the gray levels of packed colors, their mean channel."""
    return ((values >> 16) + (values >> 8 & 255) + (values & 255) + 1) // 3


def scan_mask(path: Path) -> Scan:
    """Look at a mask; never raises."""
    try:
        pixels = read_pixels(path)
    except UserError as error:
        return Scan(error=str(error))
    array = pixels.values
    size = array.shape[1], array.shape[0]
    if array.dtype.kind == 'f' and not (array % 1 == 0).all():
        return Scan(error=f'mask {path} has values that are no integers')
    tint = {}
    gray = array if pixels.mode in ('gray', 'bit') else None
    if pixels.mode == 'rgb':
        gray = _untint(array)
        tint = {} if gray is None else _count(gray)
    counts = _count(array)
    if len(counts) > _MAX_VALUES:
        if not tint:
            return Scan(
                error=f'mask {path} has {len(counts)} different values: it '
                'is a photograph, or was compressed with loss'
            )
        counts = {}
    used = {v: pixels.palette.get(v, (0, 0, 0)) for v in counts}
    return Scan(
        size,
        pixels.mode,
        counts,
        used if pixels.mode == 'palette' else {},
        pixels.is_plain,
        tint,
        0 if gray is None else _count_flat(gray),
    )


def _count(array: np.ndarray) -> dict[int, int]:
    if array.dtype == np.uint8:
        numbers = np.bincount(array.ravel(), minlength=256)
        values = np.flatnonzero(numbers)  # much faster than np.unique
        numbers = numbers[values]
    else:
        array = array.astype(np.int64)
        values, numbers = np.unique(array, return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist()))


def _untint(colors: np.ndarray) -> np.ndarray | None:
    """Return the gray levels of nearly gray colors; None of others."""
    r, g, b = colors >> 16, colors >> 8 & 255, colors & 255
    spread = np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)
    if spread.max(initial=0) > _TINT:
        return None
    return gray_of(colors).astype(np.uint8)


def _count_flat(gray: np.ndarray) -> int:
    """Count pixels between black and white whose neighbors are like them.

    Classes have areas of their level; soft and lossy edges have none.
    """
    if gray.dtype != np.uint8 or min(gray.shape) < 3:
        return 0
    inner = gray[1:-1, 1:-1]
    if not gray.min() < NEAR or not gray.max() > 255 - NEAR:
        return 0
    flat = (inner >= NEAR) & (inner <= 255 - NEAR)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        height, width = inner.shape
        moved = gray[down : down + height, right : right + width]
        flat &= moved == inner
    return int(flat.sum())


def scan_masks(root: Path, paths: Iterable[Path]) -> dict[Path, Scan]:
    """Look at masks; what was seen before is remembered.

    Args:
        root: Folder of the data set, which names the cache file.
        paths: Masks.
    """
    paths = list(dict.fromkeys(paths))
    known = read_records('masks', root, _VERSION)

    def look(path: Path) -> list:
        stat = path.stat()
        stamp = [stat.st_mtime_ns, stat.st_size]
        entry = known.get(str(path))
        if entry is not None and entry[0] == stamp:
            return entry
        return [stamp, *scan_mask(path).to_record()]

    found = map_in_threads(look, paths, 'masks', chunk=8)
    entries = {str(path): entry for path, entry in zip(paths, found)}
    if entries != known:
        write_records('masks', root, _VERSION, entries)
    return {p: Scan.from_record(entries[str(p)][1:]) for p in paths}
