"""Images on their way into the network, and its answers on the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .errors import InputError

# What can be given as an image.
AnyImage = str | Path | Image.Image | np.ndarray
# Orientations of EXIF in which width and height change places.
TURNED = (5, 6, 7, 8)


@dataclass
class Scale:
    """How an image became the network's.

    Attributes:
        original: Height and width of the image.
        size: Height and width of the image's content in the network's input.
    """

    original: tuple[int, int]
    size: tuple[int, int]

    @property
    def factor(self) -> np.ndarray:
        """Ratios of width and height, network over image."""
        return np.array(self.size[::-1]) / np.array(self.original[::-1])


def to_array(image: AnyImage) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 in RGB, turned as its EXIF says.

    Raises:
        InputError: An array of another shape or type, or no readable image.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(
                f'an array of shape {image.shape} and type {image.dtype}; '
                'give (H, W, 3) uint8 in RGB'
            )
        return image
    if isinstance(image, (str, Path)):
        try:
            with Image.open(image) as opened:
                return to_array(opened)
        except Image.DecompressionBombError as error:
            raise InputError(
                f'{image} has more than {Image.MAX_IMAGE_PIXELS} pixels: '
                'predict on it in tiles (--tiles 640)'
            ) from error
    return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == 'F' or (image.mode == 'I' and image.format == 'TIFF'):
        raise InputError(
            'values of 32 bits, which are no colors: save the image with 8'
        )
    if image.mode.startswith('I'):  # gray of 16 bits, as OpenCV reads it
        gray = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(gray[..., None], 3, 2)
    return np.asarray(image.convert('RGB'))


def turn_pixels(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a stored picture (H, W, ...) upright.

    Args:
        pixels: The picture.
        orientation: EXIF's number, 1 to 8.
    """
    if orientation in TURNED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def prepare(array: np.ndarray, info: dict) -> tuple[np.ndarray, Scale]:
    """Resize and pad an image as the model's metadata say.

    Args:
        array: Image, (H, W, 3) uint8 in RGB, or (H, W, C) of other bands.
        info: Metadata of the model.

    Returns:
        The network's input, (H', W', C) uint8 in its channel order, and how
        it relates to the image.
    """
    original = array.shape[:2]
    size = content_size(original, info)
    content = resize_bilinear(array, size)
    channels = array.shape[2]
    if info['color'] == 'bgr' and channels == 3:
        content = content[..., ::-1]
    divisor = int(info.get('divisor') or 1)
    canvas = info['size'] or [-(-s // divisor) * divisor for s in size]
    padded = np.zeros((*canvas, channels), np.uint8)
    padded[: size[0], : size[1]] = content
    return padded, Scale(original, size)


def content_size(original: Sequence[int], info: dict) -> tuple[int, int]:
    """Return height and width that an image is resized to."""
    fixed = info['size']
    if info['resize'] == 'stretch':
        return tuple(fixed or info['scale'][::-1])
    height, width = original
    factor = 1.0
    if info['resize'] == 'fit':
        longer, shorter = max(info['scale']), min(info['scale'])
        factor = min(longer / max(original), shorter / min(original))
    if fixed:
        factor = min(factor, fixed[0] / height, fixed[1] / width)
    return (
        max(int(height * factor + 0.5), 1),
        max(int(width * factor + 0.5), 1),
    )


def resize_bilinear(array: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resize (H, W, C) uint8 bilinearly without smoothing, as in training."""
    if tuple(array.shape[:2]) == tuple(size):
        return array
    out = array.astype(np.float32)
    for axis, new in enumerate(size):
        position = (np.arange(new) + 0.5) * array.shape[axis] / new - 0.5
        out = sample_rows(out.swapaxes(0, axis), position).swapaxes(0, axis)
    return (out + 0.5).astype(np.uint8)


def sample_rows(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate rows of (R, ...) at positions."""
    position = position.clip(0, len(values) - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    weight = (position - low).astype(values.dtype)
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - weight) + values[high] * weight


def resize_labels(labels: np.ndarray, scale: Scale) -> np.ndarray:
    """Cut the padding off, and give each pixel its nearest label."""
    labels = labels[: scale.size[0], : scale.size[1]]
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for old, new in zip(scale.size, scale.original)
    )
    out = labels[rows][:, columns]
    return out.astype(np.uint8) if out.max(initial=0) < 256 else out


def fit_camera(camera: np.ndarray | None, scale: Scale) -> np.ndarray:
    """Fit a projection matrix to the network's image, (4, 4) float32.

    Raises:
        InputError: It is missing or of another shape.
    """
    if camera is None:
        raise InputError(
            'a monocular 3D model needs the projection matrix of the image: '
            "give camera, (3, 4), as KITTI's P2"
        )
    camera = np.asarray(camera, np.float64)
    if camera.shape not in ((3, 4), (4, 4)):
        raise InputError(f'camera has shape {camera.shape}; give (3, 4)')
    full = np.eye(4)
    full[: len(camera)] = camera
    # Pixel i covers [i - 1/2, i + 1/2].
    fit = np.diag([*scale.factor, 1.0, 1.0])
    fit[:2, 2] = (scale.factor - 1) / 2
    return (fit @ full).astype(np.float32)


def read_camera(path: str | Path) -> np.ndarray:
    """Read P2 from a calibration file of KITTI, (3, 4).

    Raises:
        InputError: The file has no line P2 of twelve numbers.
    """
    for line in Path(path).read_text('utf-8-sig').splitlines():
        name, _, values = line.partition(':')
        numbers = values.split()
        if name.strip() == 'P2' and len(numbers) == 12:
            return np.array(numbers, np.float64).reshape(3, 4)
    raise InputError(f'{path} has no line "P2:" with twelve numbers')


def project_corners(box: Any, camera: np.ndarray) -> np.ndarray | None:
    """Project a 3D box's corners, (8, 2) pixels; None if one lies behind."""
    x, y, z, length, height, width, yaw = map(float, box)
    along = np.array([1, 1, -1, -1] * 2) * length / 2
    across = np.array([1, -1, -1, 1] * 2) * width / 2
    up = np.repeat([0.0, -height], 4)
    cos, sin = np.cos(yaw), np.sin(yaw)
    aside = x + cos * along + sin * across
    ahead = z - sin * along + cos * across
    points = np.stack([aside, y + up, ahead, np.ones(8)])
    u, v, depth = (camera[:3] @ points)[:3]
    if (depth <= 0.1).any():
        return None
    return np.stack([u / depth, v / depth], 1)
