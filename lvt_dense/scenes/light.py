"""The light of a scene: sun, sky, haze, exposure, sensor noise."""

from dataclasses import dataclass

import numpy as np

SHIFTS = 512


@dataclass(frozen=True)
class Light:
    """What turns surface colors into pixel values.

    Attributes:
        sun: (3,) unit vector toward the sun, camera frame.
        ambient: Share of the light that comes from everywhere, 0..1.
        gain: (3,) exposure times color cast, per BGR channel.
        tilt: (2,) brightness change from left to right and top to bottom.
        sky: (2, 3) BGR of the zenith and of the horizon.
        haze: Distance in meters at which 63 % of the contrast is lost.
        shade: Brightness of ground in a cast shadow, 1 for none.
        grain: Standard deviation of the sensor noise in gray levels.
        shift: (2,) where in the noise tiles this scene reads, below SHIFTS.
    """

    sun: np.ndarray
    ambient: float
    gain: np.ndarray
    tilt: np.ndarray
    sky: np.ndarray
    haze: float
    shade: float
    grain: float
    shift: np.ndarray

    def illuminate(
        self, colors: np.ndarray, normals: np.ndarray
    ) -> np.ndarray:
        """Light colors (F, 3) of faces with unit normals (F, 3): Lambert."""
        direct = np.maximum(normals @ self.sun, 0.0)
        return colors * (self.ambient + (1 - self.ambient) * direct)[:, None]

    def add_haze(self, colors: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Return colors (F, 3) as seen from distances (F,) in meters."""
        kept = np.exp(-np.maximum(distance, 0.0) / self.haze)[:, None]
        return colors * kept + self.sky[1] * (1 - kept)


def sample_light(rng: np.random.Generator) -> Light:
    """Draw sunny or overcast light."""
    overcast = rng.random() < 0.3
    azimuth = rng.uniform(-np.pi, np.pi)
    height = rng.uniform(np.radians(28), np.radians(65))
    sun = np.array([
        np.cos(height) * np.sin(azimuth),
        -np.sin(height),
        np.cos(height) * np.cos(azimuth),
    ])  # fmt: skip
    if overcast:
        sky = np.array([[205, 200, 195], [225, 222, 220]])
        sky = sky * rng.uniform(0.8, 1.0)
    else:
        sky = np.array([[215, 160, 105], [235, 218, 200]])
        sky = sky * rng.uniform(0.85, 1.05) * rng.uniform(0.96, 1.04, 3)
    exposure = rng.uniform(0.8, 1.18)
    return Light(
        sun=sun,
        ambient=0.82 if overcast else rng.uniform(0.5, 0.65),
        gain=exposure * rng.uniform(0.95, 1.05, 3),
        tilt=rng.uniform(-0.1, 0.1, 2),
        sky=sky,
        haze=rng.uniform(150.0, 600.0),
        shade=0.88 if overcast else rng.uniform(0.5, 0.7),
        grain=rng.uniform(1.5, 5.0),
        shift=rng.integers(0, SHIFTS, 2),
    )
