"""Files of pictures: their names, and what they may replace.

A picture of this package says so in its header (the ``Software`` entry of
PNG), so that a later run neither takes it for an input nor replaces a picture
of someone else.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from lvt_dense.utils.errors import UserError

SIDES = ('', '_labels', '_mask', '_overlay')  # a segmenter writes all four
_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_HEADER = 33  # bytes: the signature and the first chunk, which has the size
_TEXT = b'tEXtSoftware\x00lvt_dense'
_CHUNK = (
    struct.pack('>I', len(_TEXT) - 4)
    + _TEXT
    + struct.pack('>I', zlib.crc32(_TEXT))
)


def mark_png(content: bytes) -> bytes:
    """Sign a PNG file as a picture of this package."""
    if not content.startswith(_SIGNATURE) or _CHUNK in content[:256]:
        return content
    return content[:_HEADER] + _CHUNK + content[_HEADER:]


def is_own_picture(path: str | Path) -> bool:
    """Check whether a file is a picture written by this package."""
    try:
        with open(path, 'rb') as file:
            return _CHUNK in file.read(256)
    except OSError:
        return False


def name_pictures(
    images: Sequence[str | Path], root: str | Path | None = None
) -> list[str]:
    """Name the picture of each image after the image's relative path.

    Args:
        images: Paths of the images.
        root: Folder that the names are relative to; by default the deepest
            one that holds all images.

    Returns:
        Paths without ``.png``, one an image: those of the images, as in
        ``a/street.jpg``. No picture and no file beside it (``SIDES``) has
        the name of another, with or without regard to case.
    """
    paths = [Path(os.path.abspath(image)) for image in images]
    if not paths:
        return []
    if root is None:
        root = os.path.commonpath([path.parent for path in paths])
    bases = [Path(os.path.relpath(path, root)) for path in paths]
    # An image outside of the folder may not lead out of the output folder.
    bases = [
        Path(*[part for part in base.parts if part != os.pardir])
        for base in bases
    ]
    taken: set[str] = set()
    return [_reserve(base.as_posix(), taken) for base in bases]


def _reserve(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while any(f'{free}{side}'.lower() in taken for side in SIDES):
        number += 1
        free = f'{name}_{number}'
    taken.update(f'{free}{side}'.lower() for side in SIDES)
    return free


def check_targets(
    folder: str | Path,
    names: Iterable[str],
    option: str,
    inputs: Iterable[str | Path] = (),
) -> None:
    """Check that pictures replace nothing but pictures of an earlier run.

    Args:
        folder: Folder of the pictures.
        names: Their names, without suffix.
        option: How the user gave the folder, for the message.
        inputs: Files that are read, and not replaced in any case.

    Raises:
        UserError: Names a file that is in the way.
    """
    if not Path(folder).is_dir():
        if Path(folder).exists():
            raise UserError(f'{option} {folder} is a file; give a folder')
        return
    read = {os.path.realpath(path) for path in inputs}
    for name in names:
        for side in SIDES:
            path = Path(folder, f'{name}{side}.png')
            if not path.exists():
                continue
            if os.path.realpath(path) in read or not is_own_picture(path):
                raise UserError(
                    f'{option} {folder}: {path} is there already and is no '
                    'picture of an earlier run, so it is not replaced; give '
                    'another folder'
                )
