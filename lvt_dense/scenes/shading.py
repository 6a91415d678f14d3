"""From material numbers to a picture: textures, shadows, exposure, noise."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from .canvas import Materials
from .draw import Drawing
from .layout import Scene
from .light import SHIFTS
from .solids import Label

_TILE = 1024
_PIXELS_PER_METER = 24.0
_GRAIN = 40.0
_BLUR = 0.55  # standard deviation of the lens blur in pixels


def _noise_tile(
    seed: int, octaves: tuple[tuple[int, float], ...]
) -> np.ndarray:
    """Make noise (_TILE, _TILE) in [-1, 1] that repeats without a seam."""
    rng = np.random.default_rng(seed)
    total = np.zeros((_TILE, _TILE), np.float32)
    for cell, weight in octaves:
        side = _TILE // cell
        coarse = rng.uniform(-1, 1, (side, side)).astype(np.float32)
        padded = np.pad(coarse, 2, mode='wrap')
        size = (padded.shape[1] * cell, padded.shape[0] * cell)
        fine = cv2.resize(padded, size, interpolation=cv2.INTER_CUBIC)
        start = 2 * cell
        total += weight * fine[start : start + _TILE, start : start + _TILE]
    return np.clip(total, -1, 1)


@lru_cache(maxsize=1)
def _ground_tile() -> np.ndarray:
    octaves = ((2, 0.45), (8, 0.35), (64, 0.35))
    return (127.5 + 127.5 * _noise_tile(1, octaves)).astype(np.uint8)


@lru_cache(maxsize=1)
def _surface_tile() -> np.ndarray:
    return _noise_tile(2, ((1, 0.25), (4, 0.45), (16, 0.3)))


@lru_cache(maxsize=1)
def _sky_tile() -> np.ndarray:
    return _noise_tile(3, ((32, 0.35), (128, 0.7)))


@lru_cache(maxsize=1)
def _grain_tile() -> np.ndarray:
    """Make noise (_TILE, _TILE, 3) of mean 128 and deviation _GRAIN."""
    rng = np.random.default_rng(4)
    grain = rng.standard_normal((_TILE, _TILE, 3), np.float32)
    return np.clip(np.rint(128 + _GRAIN * grain), 0, 255).astype(np.uint8)


@lru_cache(maxsize=6)
def _spread(
    make: Callable[[], np.ndarray], height: int, width: int
) -> np.ndarray:
    """Repeat a tile so that windows of the size fit at any shift."""
    tile = make()
    rows = np.arange(height + SHIFTS) % _TILE
    columns = np.arange(width + SHIFTS) % _TILE
    return tile[rows[:, None], columns]


def _window(
    make: Callable[[], np.ndarray], shift: np.ndarray, shape: tuple
) -> np.ndarray:
    """Cut a window of ``shape`` (H, W) out of a repeating tile."""
    height, width = shape
    y, x = shift.tolist()
    return _spread(make, height, width)[y : y + height, x : x + width]


def _ground_texture(scene: Scene, top: int, shape: tuple) -> np.ndarray:
    """Compute the texture of the ground for the rows from ``top``.

    It fades with distance, where one pixel spans many grains.
    """
    height, width = shape[0] - top, shape[1]
    to_pixels = scene.ground.homography(scene.camera)
    to_pixels = np.array([[1, 0, 0], [0, 1, -top], [0, 0, 1]]) @ to_pixels
    to_tile = np.diag([_PIXELS_PER_METER, _PIXELS_PER_METER, 1.0])
    to_tile[:2, 2] = scene.light.shift
    texture = cv2.warpPerspective(
        _ground_tile(),
        to_tile @ np.linalg.inv(to_pixels),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    horizon = scene.ground.horizon(scene.camera)
    fall = np.arange(top, shape[0]) - horizon
    # One pixel spans z^2 / (fy * height) meters along the view.
    fade = np.clip(fall / (0.18 * scene.camera.P2[1, 1]), 0.12, 1)
    fade = (fade / 127.5).astype(np.float32)[:, None]
    return (texture.astype(np.float32) - 127.5) * fade


def _packed(materials: Materials, colors: np.ndarray) -> np.ndarray:
    """Pack a table (M,) of four bytes: B, G, R, and texture with a flag.

    One look-up of 32 bits is several times as fast as four of 8. The flag,
    128, marks sky and ground, which have textures of their own.
    """
    packed = np.empty((len(colors), 4), np.uint8)
    packed[:, :3] = np.rint(np.clip(colors, 0, 255))
    packed[:, 3] = np.rint(127 * materials.texture)
    own = materials.ground | (materials.labels == Label.SKY)
    packed[own, 3] |= 128
    return packed.view(np.uint32)[:, 0]


def _modulation(
    scene: Scene, drawing: Drawing, texture: np.ndarray
) -> np.ndarray:
    """Compute the brightness (H, W) from textures, shadows and exposure.

    ``texture`` is the fourth byte of :func:`_packed`, per pixel.
    """
    light, shape = scene.light, texture.shape
    flagged = cv2.threshold(texture, 127, 255, cv2.THRESH_BINARY)[1]
    horizon = scene.ground.horizon(scene.camera)
    top = int(np.clip(np.floor(horizon) + 1, 1, shape[0] - 1))
    noise = _window(_surface_tile, light.shift, shape).copy()
    sky = _window(_sky_tile, light.shift, shape)
    cv2.copyTo(sky[:top], flagged[:top], noise[:top])
    ground = _ground_texture(scene, top, shape)
    cv2.copyTo(ground, flagged[top:], noise[top:])

    strength = np.arange(256, dtype=np.float32) % 128 * (0.45 / 127)
    factor: np.ndarray = np.asarray(cv2.LUT(texture, strength))
    factor *= noise
    factor += 1
    shadow = cv2.GaussianBlur(drawing.shadow[top:], (5, 5), 0)
    shadow = cv2.bitwise_or(shadow, cv2.bitwise_not(flagged[top:]))
    factor[top:] *= shadow
    factor[top:] *= np.float32(1 / 255)
    across = 1 + light.tilt[0] * np.linspace(-1, 1, shape[1])
    down = 1 + light.tilt[1] * np.linspace(-1, 1, shape[0])
    factor *= across.astype(np.float32)
    factor *= down.astype(np.float32)[:, None]
    return factor


def shade(scene: Scene, drawing: Drawing) -> np.ndarray:
    """Shade a drawn scene: (H, W, 3) uint8, BGR."""
    light, ids = scene.light, drawing.canvas.ids
    materials = drawing.canvas.materials()
    packed = _packed(materials, materials.colors * light.gain)
    pixels = np.take(packed, ids).view(np.uint8).reshape(*ids.shape, 4)
    *planes, texture = cv2.split(pixels)
    factor = _modulation(scene, drawing, texture)
    # Bytes times bytes: OpenCV is a hundred times slower on mixed types.
    factor = cv2.convertScaleAbs(factor, alpha=128)
    planes = [cv2.multiply(p, factor, scale=1 / 128) for p in planes]
    image = cv2.GaussianBlur(cv2.merge(planes), (3, 3), _BLUR)
    grain = _window(_grain_tile, light.shift[::-1], ids.shape)
    weight = light.grain / _GRAIN
    return cv2.addWeighted(image, 1.0, grain, weight, -128 * weight)
