"""Sizes of images, read from their headers and remembered."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from lvt_dense.utils.cache import read_records, write_records

_ORIENTATION = 0x0112  # EXIF's tag
_TURNED = (5, 6, 7, 8)  # width and height change places
_VERSION = 1


@dataclass(frozen=True)
class Header:
    """What the header of an image says.

    Attributes:
        width: Width of the stored picture in pixels.
        height: Height of the stored picture in pixels.
        orientation: EXIF's number, 1 for upright.
        mode: Pillow's name of the pixel format.
        error: Why it could not be read; empty otherwise.
    """

    width: int = 0
    height: int = 0
    orientation: int = 1
    mode: str = ''
    error: str = ''

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as OpenCV loads it, which obeys EXIF."""
        if self.orientation in _TURNED:
            return self.height, self.width
        return self.width, self.height


def read_header(path: Path) -> Header:
    """Read the header of an image; never raises."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = image.getexif().get(_ORIENTATION, 1)
            if orientation not in range(1, 9):
                orientation = 1
            return Header(width, height, orientation, image.mode)
    except Exception as error:  # each decoder has its own
        reason = str(error).split(" '", 1)[0] or type(error).__name__
        return Header(error=reason)


def read_headers(root: Path, paths: Iterable[Path]) -> dict[Path, Header]:
    """Read the headers of many images.

    They are remembered in the user's cache folder and read again only where
    size or time of a file have changed.

    Args:
        root: Folder of the data set, which names the cache file.
        paths: Images.
    """
    known = read_records('headers', root, _VERSION)
    headers, entries = {}, {}
    paths = list(dict.fromkeys(paths))
    changed = len(known) != len(paths)
    for path in tqdm(paths, 'images', leave=False, delay=1):
        try:
            stat = path.stat()
        except OSError as error:
            headers[path] = Header(error=error.strerror or 'unreadable')
            continue
        stamp = [stat.st_mtime_ns, stat.st_size]
        entry = known.get(str(path))
        if entry is None or entry[:2] != stamp:
            h = read_header(path)
            entry = [
                *stamp, h.width, h.height, h.orientation, h.mode, h.error
            ]  # fmt: skip
            changed = True
        entries[str(path)] = entry
        headers[path] = Header(*entry[2:])
    if changed:
        write_records('headers', root, _VERSION, entries)
    return headers
