"""From material numbers to a picture: textures, shadows, exposure, noise."""

from functools import lru_cache
from typing import Callable

import cv2
import numpy as np

from .canvas import Materials
from .draw import Drawing
from .layout import Scene
from .light import SHIFTS

_TILE = 1024
_PIXELS_PER_METRE = 24.0
_BLUR = 0.55  # standard deviation of the lens blur in pixels


def _noise_tile(seed: int, octaves: tuple[tuple[int, float], ...]):
    """(_TILE, _TILE) noise in [-1, 1] that repeats without a seam."""
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
    """(_TILE, _TILE, 3) noise of standard deviation 1."""
    rng = np.random.default_rng(4)
    grain = rng.standard_normal((_TILE, _TILE, 3), np.float32)
    return np.clip(grain, -3, 3)


@lru_cache(maxsize=6)
def _spread(make: Callable[[], np.ndarray], height: int, width: int):
    """A tile, repeated so that windows of the size fit at any shift."""
    tile = make()
    rows = np.arange(height + SHIFTS) % _TILE
    columns = np.arange(width + SHIFTS) % _TILE
    return tile[rows[:, None], columns]


def _window(
    make: Callable[[], np.ndarray], shift: np.ndarray, shape: tuple
) -> np.ndarray:
    """A window of ``shape`` (H, W) of a repeating tile."""
    height, width = shape
    y, x = shift.tolist()
    return _spread(make, height, width)[y : y + height, x : x + width]


def _ground_texture(scene: Scene, top: int, shape: tuple) -> np.ndarray:
    """Texture of the ground plane for the rows from ``top``, about 0.

    It fades with distance, where one pixel spans many grains.
    """
    height, width = shape[0] - top, shape[1]
    to_pixels = scene.ground.homography(scene.camera)
    to_pixels = np.array([[1, 0, 0], [0, 1, -top], [0, 0, 1]]) @ to_pixels
    to_tile = np.diag([_PIXELS_PER_METRE, _PIXELS_PER_METRE, 1.0])
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
    # One pixel spans z^2 / (fy * height) metres along the view.
    fade = np.clip(fall / (0.18 * scene.camera.P2[1, 1]), 0.12, 1)
    fade = (fade / 127.5).astype(np.float32)[:, None]
    return (texture.astype(np.float32) - 127.5) * fade


def _modulation(
    scene: Scene, drawing: Drawing, materials: Materials
) -> np.ndarray:
    """(H, W) factor of brightness from textures, shadows and exposure."""
    ids, light = drawing.canvas.ids, scene.light
    shape = ids.shape
    noise = _window(_surface_tile, light.shift, shape).copy()
    horizon = scene.ground.horizon(scene.camera)
    top = int(np.clip(np.floor(horizon) + 1, 0, shape[0] - 1))
    noise[:top] = np.where(
        np.take(materials.labels == 0, ids[:top]),
        _window(_sky_tile, light.shift, shape)[:top],
        noise[:top],
    )
    on_ground = np.take(materials.ground, ids[top:])
    texture = _ground_texture(scene, top, shape)
    noise[top:] = np.where(on_ground, texture, noise[top:])
    strength = materials.texture.astype(np.float32)
    factor = 1 + 0.45 * np.take(strength, ids) * noise
    soft = cv2.GaussianBlur(drawing.shadow[top:], (5, 5), 0)
    shade = soft.astype(np.float32) * np.float32(1 / 255)
    factor[top:] *= np.where(on_ground, shade, np.float32(1))
    across = 1 + light.tilt[0] * np.linspace(-1, 1, shape[1])
    down = 1 + light.tilt[1] * np.linspace(-1, 1, shape[0])
    factor *= across.astype(np.float32)
    factor *= down.astype(np.float32)[:, None]
    return factor


def shade(scene: Scene, drawing: Drawing) -> np.ndarray:
    """The picture of a drawn scene: (H, W, 3) uint8, BGR."""
    materials = drawing.canvas.materials()
    ids = drawing.canvas.ids
    colours = np.clip(materials.colours * scene.light.gain, 0, 255)
    # One 32-bit look-up is several times as fast as three of 8 bits.
    packed = np.zeros((len(colours), 4), np.uint8)
    packed[:, :3] = np.rint(colours)
    flat = np.take(packed.view(np.uint32)[:, 0], ids)
    flat = flat.view(np.uint8).reshape(*ids.shape, 4)
    flat = cv2.cvtColor(flat, cv2.COLOR_BGRA2BGR)
    factor = _modulation(scene, drawing, materials)
    image = cv2.multiply(flat, cv2.merge([factor] * 3), dtype=cv2.CV_32F)
    image = cv2.GaussianBlur(image, (3, 3), _BLUR)
    grain = _window(_grain_tile, scene.light.shift[::-1], ids.shape)
    image = cv2.scaleAdd(grain, scene.light.grain, image)
    return cv2.convertScaleAbs(np.maximum(image, 0, out=image))
