"""Images of other than three bands, such as multispectral ones.

OpenCV takes the first band of some TIFF files for a gray picture, and
multiplies others by the last band; Pillow cannot open many. So TIFF files are
left to tifffile.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from .errors import InputError
from .images import AnyImage, turn_pixels
from .sessions import require

TIFF_MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_TURN = 274  # tag of the orientation
_OPACITY = 2  # by which colors are not multiplied


def read_bands(
    image: AnyImage | bytes, count: int, name: object = 'the image'
) -> np.ndarray:
    """Read an image in the order of its bands, turned as its EXIF says.

    Of 16 bits the higher eight are kept, as OpenCV does with color pictures.

    Args:
        image: A file, the content of one, a picture, or an array (H, W, C)
            uint8 or uint16.
        count: Number C of bands.
        name: What errors call the image.

    Returns:
        (H, W, C) uint8.

    Raises:
        InputError: It has another number of bands, or values that are not
            of 8 or 16 bits.
    """
    if isinstance(image, (str, Path)):
        name, image = image, Path(image).read_bytes()
    if isinstance(image, bytes):
        is_tiff = image[:4] in TIFF_MAGIC
        image = _read_tiff(image, name) if is_tiff else _open(image, name)
    if isinstance(image, Image.Image):
        image = _to_array(image)
    array = image if image.ndim == 3 else image[..., None]
    if array.ndim != 3 or array.shape[2] != count:
        bands = array.shape[2] if array.ndim == 3 else 'no'
        raise InputError(
            f'{name} has {bands} bands, and the model takes {count}'
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(
            f'{name} has values of type {array.dtype}: save it as integers '
            'of 8 or 16 bits without sign'
        )
    return np.ascontiguousarray(array)


def color_of(bands: np.ndarray) -> np.ndarray:
    """Return what is drawn of an image: its first three bands, or gray."""
    if bands.shape[2] < 3:
        return np.repeat(bands[..., :1], 3, 2)
    return np.ascontiguousarray(bands[..., :3])


def _open(data: bytes, name: object) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f'{name} is empty or corrupt') from error
    return image


def _to_array(image: Image.Image) -> np.ndarray:
    orientation = image.getexif().get(_TURN, 1)
    if image.mode in ('P', '1'):
        image = image.convert('RGB' if image.mode == 'P' else 'L')
    array = np.asarray(image)
    if array.dtype == np.int32:  # gray of 16 bits
        array = array.astype(np.uint16)
    return turn_pixels(array, orientation)


def _read_tiff(data: bytes, name: object) -> np.ndarray:
    tifffile = require('tifffile', str(name))
    try:
        file = tifffile.TiffFile(io.BytesIO(data))
        page = file.pages[0]
        is_apart = page.planarconfig.name == 'SEPARATE'
        tag = page.tags.get(_TURN)
        is_color = page.photometric.name == 'RGB'
        is_color &= page.samplesperpixel == 4 and not is_apart
        extra = [int(kind) for kind in page.extrasamples] or [0]
    except Exception as error:  # each field has its own
        raise InputError(f'{name} is empty or corrupt') from error
    try:
        array = page.asarray()
    except Exception as error:  # each codec has its own
        if not is_color:
            raise InputError(f'{name} cannot be decoded: {error}') from error
        return _read_compressed(data, name, extra[0])
    if is_apart and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    return turn_pixels(array, 1 if tag is None else tag.value)


def _read_compressed(data: bytes, name: object, extra: int) -> np.ndarray:
    """Read red, green, blue and a fourth band without tifffile's codecs.

    Args:
        data: Content of the file.
        name: What errors call it.
        extra: TIFF's number for the meaning of the fourth band.
    """
    if extra == _OPACITY:
        return _to_array(_open(data, name))
    cv2 = require('cv2', str(name), 'opencv-python')
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.ndim != 3:
        raise InputError(f'{name} is empty or corrupt')
    return array[..., [2, 1, 0, 3]]
