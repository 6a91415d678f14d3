"""Image files: what their headers say, and pixels that stand upright."""

import contextlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lvt_dense.runtime.bands import TIFF_MAGIC
from lvt_dense.runtime.images import TURNED, turn_pixels
from lvt_dense.utils.cache import read_records, write_records
from lvt_dense.utils.threads import map_in_threads

_ORIENTATION = 0x0112  # EXIF's tag
_VERSION = 3
_TAIL = 4096  # bytes; some cameras write after the end of the picture
# What the last bytes of a complete file hold.
_ENDS = dict(JPEG=b'\xff\xd9', MPO=b'\xff\xd9', PNG=b'IEND')
# Formats that OpenCV has decoders for: what it refuses is broken.
_OPENCV = ('JPEG', 'MPO', 'PNG', 'TIFF', 'WEBP', 'BMP')


@dataclass(frozen=True)
class Header:
    """What the header of an image says.

    Attributes:
        width: Width of the stored picture in pixels.
        height: Height of the stored picture in pixels.
        orientation: EXIF's number, 1 for upright.
        mode: Pillow's name of the pixel format; ``'4 bands'`` and the like
            of TIFF files that it has none for.
        error: Why it could not be read; empty otherwise.
    """

    width: int = 0
    height: int = 0
    orientation: int = 1
    mode: str = ''
    error: str = ''

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as :func:`decode_image` returns the picture."""
        if self.orientation in TURNED:
            return self.height, self.width
        return self.width, self.height


def read_header(path: Path) -> Header:
    """Read the header of an image, and see that its end is there.

    Never raises.
    """
    try:
        with open(path, 'rb') as file, Image.open(file) as image:
            kind = image.format
            tail = _read_tail(file)
            # Pillow decodes a PNG to look for EXIF data behind its pixels.
            has_exif = kind != 'PNG' or 'exif' in ' '.join(image.info).lower()
            turned = has_exif or b'eXIf' in tail
            header = Header(
                *_stored_size(image),
                _orientation_of(image) if turned else 1,
                image.mode,
            )
            if kind == 'TIFF' and image.mode in ('I', 'F'):
                return Header(
                    error='has 32 bits a channel, which are no colors; '
                    'save it with 8'
                )
            if _ENDS.get(kind or '', b'') in tail:
                return header
        if decode_image(Path(path).read_bytes()) is None:
            return Header(error='is cut short')
        return header
    except UnidentifiedImageError:
        return _read_tiff_header(path)
    except Exception as error:  # each decoder has its own
        reason = str(error).split(" '", 1)[0] or type(error).__name__
        return Header(error=reason)


def _read_tiff_header(path: Path) -> Header:
    """Read the header of a TIFF file that Pillow has no mode for."""
    if path.read_bytes()[:4] not in TIFF_MAGIC:
        return Header(error='is no picture that can be read')
    try:
        import tifffile
    except ImportError:
        return Header(error='needs tifffile: pip install tifffile')
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            count, kind = page.samplesperpixel, page.dtype
            tag = page.tags.get(_ORIENTATION)
            size = page.imagewidth, page.imagelength
    except Exception:  # each field has its own
        return Header(error='is no picture that can be read')
    if kind not in (np.uint8, np.uint16):
        return Header(
            error=f'has values of type {kind}, which are no colors; save it '
            'with 8 bits a channel'
        )
    orientation = 1 if tag is None else int(tag.value)
    return Header(*size, orientation, f'{count} bands')


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Return the size before turning; Pillow turns TIFF by itself."""
    tags = getattr(image, 'tag_v2', None)
    if image.format == 'TIFF' and tags is not None:
        return int(tags[256]), int(tags[257])
    return image.size


def _orientation_of(image: Image.Image) -> int:
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _read_tail(file: io.BufferedReader) -> bytes:
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    file.seek(place)
    return tail


def read_headers(root: Path, paths: Iterable[Path]) -> dict[Path, Header]:
    """Read the headers of many images.

    They are remembered in the user's cache folder and read again only where
    size or time of a file have changed.

    Args:
        root: Folder of the data set, which names the cache file.
        paths: Images.
    """
    known = read_records('headers', root, _VERSION)
    paths = list(dict.fromkeys(paths))

    def look(path: Path) -> list:
        try:
            stat = os.stat(path)
        except OSError as error:
            return [0, 0, 0, 0, 1, '', error.strerror or 'unreadable']
        stamp = [stat.st_mtime_ns, stat.st_size]
        entry = known.get(str(path))
        if entry is not None and entry[:2] == stamp:
            return entry
        h = read_header(path)
        return [*stamp, h.width, h.height, h.orientation, h.mode, h.error]

    found = map_in_threads(look, paths, 'images')
    entries = {str(path): entry for path, entry in zip(paths, found)}
    if entries != known:
        write_records('headers', root, _VERSION, entries)
    return {path: Header(*entries[str(path)][2:]) for path in paths}


def read_image(path: str | Path, flag: str = 'color') -> np.ndarray | None:
    """Read an image as the pipelines do; None if it cannot be decoded.

    Args:
        path: File.
        flag: As for ``mmcv.imfrombytes``.

    Returns:
        (H, W, 3) in the order blue, green, red, upright.
    """
    return decode_image(Path(path).read_bytes(), flag)


def decode_image(
    data: bytes, flag: str = 'color', backend: str | None = 'cv2'
) -> np.ndarray | None:
    """Decode an image as MMCV does, upright whatever its format.

    OpenCV obeys the EXIF rotation of JPEG, PNG and TIFF, but not that of
    WebP and AVIF, nor any with the flag ``unchanged``. What it has no decoder
    for, such as TGA or PCX, is left to Pillow.

    Args:
        data: The content of a file.
        flag: As for ``mmcv.imfrombytes``.
        backend: MMCV's decoder.

    Returns:
        The pixels; None if they cannot be decoded.
    """
    array = None
    with contextlib.suppress(cv2.error, OSError, ValueError, AttributeError):
        array = mmcv.imfrombytes(data, flag=flag, backend=backend)
    if array is None:
        return _decode_by_pillow(data, flag)
    if backend in (None, 'cv2') and 'ignore' not in flag:
        orientation = _left_orientation(data, flag)
        if orientation != 1:
            array = np.ascontiguousarray(turn_pixels(array, orientation))
    return array


def _left_orientation(data: bytes, flag: str) -> int:
    """Return the rotation that OpenCV has left to us."""
    unturned = data[8:12] == b'WEBP' or data[4:8] == b'ftyp'
    jpeg = data[:2] == b'\xff\xd8' or data[:4] == b'\x89PNG'
    if not unturned and not (flag == 'unchanged' and jpeg):
        return 1
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _orientation_of(image)
    except Exception:  # each decoder has its own
        return 1


def _decode_by_pillow(data: bytes, flag: str) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format in _OPENCV:
                return None
            upright = ImageOps.exif_transpose(image)
            if flag.startswith('grayscale'):
                return np.array(upright.convert('L'))
            return np.array(upright.convert('RGB'))[..., ::-1].copy()
    except Exception:  # each decoder has its own
        return None
