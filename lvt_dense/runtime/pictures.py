"""Pictures that are read in parts, since they may not fit into memory."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors import InputError
from .images import AnyImage, to_array
from .sessions import require

LARGE = 64_000_000  # pixels from which on pictures are read in parts
_BAND = 1024  # rows at once
_TURN = 274  # tag of the orientation
_LOCK = threading.Lock()  # Pillow's limit is a global


class Picture:
    """A picture in memory, and what all pictures can do.

    Args:
        array: Pixels, (H, W, 3) uint8 in RGB.

    Attributes:
        shape: Height and width.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape: tuple[int, int] = array.shape[:2]

    @property
    def is_large(self) -> bool:
        """Whether it is not to be held in memory as a whole."""
        return self.shape[0] * self.shape[1] > LARGE

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        """Return rows, (bottom - top, W, 3) uint8 in RGB."""
        return self._array[top:bottom]

    def read_box(self, box: np.ndarray) -> np.ndarray:
        """Return the pixels that a box x1, y1, x2, y2 touches."""
        height, width = self.shape
        left, top = (max(int(np.floor(v)), 0) for v in box[:2])
        right = max(min(int(np.ceil(box[2])), width), left + 1)
        bottom = max(min(int(np.ceil(box[3])), height), top + 1)
        top, left = min(top, height - 1), min(left, width - 1)
        return self.read_rows(top, min(bottom, height))[:, left:right]

    def shrink(self, step: int) -> np.ndarray:
        """Return the mean of each ``step`` x ``step`` pixels."""
        height, width = (max(side // step, 1) for side in self.shape)
        if step == 1:
            return self.read_rows(0, self.shape[0])
        out = np.empty((height, width, 3), np.uint8)
        band = max(_BAND // step, 1)
        for top in range(0, height, band):
            bottom = min(top + band, height)
            rows = self.read_rows(top * step, bottom * step)
            cells = rows[:, : width * step].reshape(
                bottom - top, step, width, step, 3
            )
            out[top:bottom] = cells.mean((1, 3), dtype=np.float32) + 0.5
        return out


class TiffPicture(Picture):
    """A TIFF file of 8 bits, of which only the rows asked for are decoded.

    Args:
        path: The file.

    Raises:
        InputError: tifffile is missing, or the file is of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        tifffile = require('tifffile', path)
        try:
            self._file = tifffile.TiffFile(path)
        except tifffile.TiffFileError as error:
            raise InputError(f'{path} is no readable TIFF file') from error
        self._page: Any = self._file.pages[0]
        self.shape = (self._page.imagelength, self._page.imagewidth)
        kind = self._page.photometric.name
        if (
            self._page.dtype != np.uint8
            or kind not in ('RGB', 'MINISBLACK', 'YCBCR')
            or self._page.planarconfig.name != 'CONTIG'
        ):
            raise InputError(
                f'{path} is a TIFF file of type {self._page.dtype}, {kind}: '
                'give one of 8 bits in RGB or gray'
            )

    @property
    def is_turned(self) -> bool:
        """Whether its rows are not those that a viewer shows."""
        tag = self._page.tags.get(_TURN)
        return tag is not None and tag.value != 1

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        """Return rows, (bottom - top, W, 3) uint8 in RGB."""
        page = self._page
        channels = page.samplesperpixel
        out = np.empty((bottom - top, self.shape[1], channels), np.uint8)
        is_plain = page.compression == 1 and not page.is_tiled
        if is_plain and page.is_contiguous:
            # Not mapped into memory, where what was read would add up.
            line = self.shape[1] * channels
            handle = page.parent.filehandle
            handle.seek(page.dataoffsets[0] + top * line)
            data = handle.read((bottom - top) * line)
            out[:] = np.frombuffer(data, np.uint8).reshape(out.shape)
        else:
            self._decode(out, top, bottom)
        return _to_rgb(out)

    def _decode(self, out: np.ndarray, top: int, bottom: int) -> None:
        page = self._page
        across = 1
        rows = min(page.rowsperstrip, self.shape[0])
        if page.is_tiled:
            rows = page.tilelength
            across = -(-self.shape[1] // page.tilewidth)
        first, last = top // rows, (bottom - 1) // rows
        handle = page.parent.filehandle
        for index in range(first * across, (last + 1) * across):
            handle.seek(page.dataoffsets[index])
            data = handle.read(page.databytecounts[index])
            try:
                segment, place, shape = page.decode(data, index)
            except Exception as error:  # each codec has its own
                raise InputError(
                    f'{self.path} cannot be decoded: {error}'
                ) from error
            (y, x), (h, w) = place[2:4], shape[1:3]
            low, high = max(y, top), min(y + h, bottom)
            right = min(x + w, self.shape[1])
            out[low - top : high - top, x:right] = segment[
                0, low - y : high - y, : right - x
            ]


def _to_rgb(array: np.ndarray) -> np.ndarray:
    if array.shape[2] < 3:  # gray, perhaps with opacity
        return np.repeat(array[..., :1], 3, 2)
    return array[..., :3]


def open_picture(image: AnyImage) -> Picture:
    """Open a picture; a large TIFF file is not read yet.

    Args:
        image: As in :func:`~lvt_dense.runtime.images.to_array`.

    Raises:
        InputError: It cannot be read.
    """
    if not isinstance(image, (str, Path)):
        return Picture(to_array(image))
    with _open_large(image) as opened:
        is_large = opened.width * opened.height > LARGE
        if opened.format == 'TIFF' and is_large:
            tiff = TiffPicture(image)
            if not tiff.is_turned:
                return tiff
        return Picture(to_array(opened))


def _open_large(path: str | Path) -> Image.Image:
    """Open an image of any size; Pillow takes large ones for an attack."""
    with _LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
