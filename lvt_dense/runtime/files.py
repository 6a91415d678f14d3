"""Write result files completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .errors import InputError
from .sessions import KEY
from .sources import is_own_picture


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path whose file takes the place of another's at last.

    Args:
        path: File to write; its folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def open_whole(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file to write, which appears when it is complete."""
    with (
        replace_whole(path) as partial,
        open(partial, 'w', encoding='utf-8', newline=newline) as file,
    ):
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with open_whole(path) as file:
        file.write(text)


def save_picture(picture: Image.Image, target: Path) -> None:
    """Write a PNG file whole, and over no file but an earlier picture.

    Raises:
        InputError: Another file is in the way.
    """
    if target.exists() and not is_own_picture(target):
        raise InputError(
            f'{target} is in the way and is not a picture of an earlier run: '
            'choose another --out'
        )
    mark = PngInfo()
    mark.add_text('Software', KEY)
    with replace_whole(target) as partial:
        # Fast, for files that are a tenth larger.
        picture.save(partial, format='png', pnginfo=mark, compress_level=1)
