"""The road of a scene: where it lies, and its surfaces."""

import math
from dataclasses import dataclass

import numpy as np

from .camera import Ground
from .solids import Label

# Surfaces are cut where haze would show within one polygon.
_CUTS = np.array([-6.0, 6, 10, 15, 22, 32, 45, 65, 95, 140, 220, 400])


@dataclass(frozen=True)
class Road:
    """A straight road; lateral positions are meters right of its middle.

    Attributes:
        heading: Direction against the camera's z axis, radians to the right.
        offset: Lateral position of the camera.
        half_width: From the middle to the curb.
        walk: Width of each sidewalk.
        verge: Width of each strip of grass beyond it.
    """

    heading: float
    offset: float
    half_width: float
    walk: float
    verge: float

    @property
    def corridor(self) -> float:
        """Lateral distance from the middle to the plots."""
        return self.half_width + self.walk + self.verge

    @property
    def yaw(self) -> float:
        """rotation_y of what faces away from the camera along the road."""
        return self.heading - np.pi / 2

    def locate(self, along: float | np.ndarray, lateral: float) -> np.ndarray:
        """Return positions (..., 2), x and z, of road coordinates."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        across = lateral - self.offset
        return np.array([along * s + across * c, along * c - across * s]).T

    def lateral(self, x: float, z: float) -> float:
        """Return the lateral position of (x, z)."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        return x * c - z * s + self.offset

    def x_range(self, z: float, limit: float) -> tuple[float, float]:
        """Return the range of x at depth z within a limit of the middle."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        middle = z * s - self.offset
        return (middle - limit) / c, (middle + limit) / c


@dataclass(frozen=True)
class Surface:
    """A convex piece of ground: (K, 3) corners, label, BGR, texture."""

    corners: np.ndarray
    label: Label
    color: np.ndarray
    texture: float


def sample_road(
    rng: np.random.Generator, half_width: tuple[float, float]
) -> Road:
    """Draw a road of two lanes, with or without parking strips."""
    half = rng.uniform(*half_width)
    return Road(
        heading=rng.uniform(-0.09, 0.09),
        offset=rng.uniform(0.15, 0.55) * half,
        half_width=half,
        walk=rng.uniform(1.6, 3.0),
        verge=rng.uniform(0.8, 4.0),
    )


def _strip(
    road: Road, ground: Ground, left: float, right: float, cuts: np.ndarray
) -> list[np.ndarray]:
    """Make quads between two lateral positions, cut along the road."""
    a = ground.lift(road.locate(cuts, left))
    b = ground.lift(road.locate(cuts, right))
    return [
        np.array([a[i], b[i], b[i + 1], a[i + 1]])
        for i in range(len(cuts) - 1)
    ]


def sample_surfaces(
    rng: np.random.Generator, road: Road, ground: Ground
) -> list[Surface]:
    """Draw grass, sidewalks, curbs, asphalt and markings, in that order."""
    grass = np.array([62, 122, 92]) * rng.uniform(0.75, 1.2, 3)
    paving = np.array([158, 162, 168]) * rng.uniform(0.8, 1.15)
    asphalt = np.array([98, 96, 94]) * rng.uniform(0.75, 1.25)
    paint = np.array([215, 220, 222]) * rng.uniform(0.85, 1.1)
    surfaces = []

    def add(
        left: float,
        right: float,
        label: Label,
        color: np.ndarray,
        texture: float,
        cuts: np.ndarray = _CUTS,
    ) -> None:
        for corners in _strip(road, ground, left, right, cuts):
            surfaces.append(Surface(corners, label, color, texture))

    half, outer = road.half_width, road.half_width + road.walk
    add(-300.0, -outer, Label.GRASS, grass, 0.9)
    add(outer, 300.0, Label.GRASS, grass, 0.9)
    for side in (-1.0, 1.0):
        inner, curb = sorted((side * half, side * (half + 0.18)))
        left, right = sorted((side * half, side * outer))
        add(left, right, Label.SIDEWALK, paving, 0.3)
        add(inner, curb, Label.SIDEWALK, paving * 1.15, 0.2)
    add(-half, half, Label.ROAD, asphalt, 0.4)
    dashes = np.arange(rng.uniform(-6.0, 0.0), 90.0, 6.0)
    for start in dashes.tolist():
        cuts = np.array([start, start + 3.0])
        add(-0.07, 0.07, Label.ROAD, paint, 0.2, cuts)
    if rng.random() < 0.6:
        for edge in (-half + 0.35, half - 0.45):
            add(edge, edge + 0.12, Label.ROAD, paint, 0.2)
    if rng.random() < 0.35:
        near = rng.uniform(7.0, 25.0)
        cuts = np.array([near, near + 3.0])
        for left in np.arange(-half + 0.4, half - 0.7, 1.0).tolist():
            add(left, left + 0.5, Label.ROAD, paint, 0.2, cuts)
    return surfaces
