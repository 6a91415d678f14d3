"""Draw a scene: camera height, light, road, backdrop and road users."""

import math
from dataclasses import dataclass

import numpy as np

from lvt_dense.structures import wrap_angle

from .backdrop import (
    sample_building,
    sample_fence,
    sample_lamp,
    sample_sign,
    sample_tree,
)
from .camera import Camera, Ground
from .geometry import footprint, overlaps_any
from .light import Light, sample_light
from .road import Road, Surface, sample_road, sample_surfaces
from .road_users import sample_road_user
from .solids import Look, Solid

KINDS = ('car', 'pedestrian', 'cyclist')


@dataclass(frozen=True)
class Profile:
    """How crowded, deep and varied the scenes of a data set are.

    Attributes:
        count: Least and greatest number of road users.
        mix: Shares of cars, pedestrians and cyclists.
        depth: Least and greatest depth in meters of each of them.
        half_width: Range of half the width of the road in meters.
        height: Range of the camera's height in meters.
        slope: Greatest slope of the ground against the camera.
        turned: Share of road users that do not follow the road.
        cover: Greatest share of a road user's columns that another one may
            take up, 1 for any.
    """

    count: tuple[int, int]
    mix: tuple[float, float, float]
    depth: tuple[tuple[float, float], ...]
    half_width: tuple[float, float]
    height: tuple[float, float]
    slope: float
    turned: float
    cover: float


# Few, near objects in equal shares: for detection and segmentation from
# scratch in minutes.
NEAR_PROFILE = Profile(
    count=(2, 6),
    mix=(0.4, 0.3, 0.3),
    depth=((6.5, 24.0), (4.5, 15.0), (5.0, 16.0)),
    half_width=(3.2, 4.8),
    height=(1.4, 1.8),
    slope=0.012,
    turned=0.35,
    cover=0.6,
)
# Many, distant objects, most of them small in large images: for tiles.
FAR_PROFILE = Profile(
    count=(10, 18),
    mix=(0.4, 0.3, 0.3),
    depth=((80.0, 180.0), (45.0, 120.0), (50.0, 130.0)),
    half_width=(5.0, 8.0),
    height=(2.5, 4.0),
    slope=0.004,
    turned=0.35,
    cover=0.6,
)
# KITTI's classes, depths and camera.
KITTI_PROFILE = Profile(
    count=(5, 13),
    mix=(0.7, 0.18, 0.12),
    depth=((6.0, 60.0), (5.0, 40.0), (5.0, 45.0)),
    half_width=(4.2, 7.5),
    height=(1.62, 1.68),
    slope=0.003,
    turned=0.2,
    cover=1.0,
)


@dataclass(frozen=True)
class Scene:
    """Everything that a picture and its labels follow from.

    ``skyline`` holds the heights of the far trees in radians above the
    horizon, from the left to the right edge of the image.
    """

    camera: Camera
    ground: Ground
    light: Light
    surfaces: list[Surface]
    skyline: np.ndarray
    solids: list[Solid]


class _Site:
    """The scene while it is filled: solids and the ground they take."""

    def __init__(self, road: Road, ground: Ground) -> None:
        self.road = road
        self.ground = ground
        self.solids: list[Solid] = []

    def taken(self, claim: np.ndarray) -> bool:
        """Tell whether something stands on a (4, 2) rectangle of ground."""
        x, z = claim.mean(0).tolist()
        radius = math.hypot(*(claim[0] - claim[2])) / 2
        # Few solids are near enough for the exact test.
        circles = [s.circle for s in self.solids]
        near = [
            math.hypot(x1 - x, z1 - z) < radius + radius1
            for x1, z1, radius1 in circles
        ]
        bases = [s.base for s, close in zip(self.solids, near) if close]
        return bool(bases) and overlaps_any(claim, np.array(bases))

    def add(self, look: Look, xz: np.ndarray, yaw: float) -> None:
        """Add a piece of backdrop unless its place is taken."""
        length, width = look.stem or (look.dims[0], look.dims[2])
        x, z = xz.tolist()
        claim = footprint(x, z, length + 0.1, width + 0.1, yaw)
        if not self.taken(claim):
            self.solids.append(Solid(look, self.ground.lift(xz), yaw))


def _depth(rng: np.random.Generator, low: float, high: float) -> float:
    # Even in log depth, hence in apparent size.
    return float(low * (high / low) ** rng.random())


def _heading(
    rng: np.random.Generator, kind: str, side: float, yaw: float, turned: float
) -> float:
    """Draw a yaw: mostly along the road, cars on the right-hand side."""
    if rng.random() < turned:
        return rng.uniform(-np.pi, np.pi)
    if kind == 'car':
        away = side > 0 or rng.random() < 0.15
    else:
        away = rng.random() < 0.5
    jitter = {'car': 0.04, 'cyclist': 0.12, 'pedestrian': 0.3}[kind]
    return yaw + (0.0 if away else np.pi) + jitter * rng.standard_normal()


def _columns(camera: Camera, solid: Solid) -> tuple[float, float]:
    u = camera.project(solid.corners())[:, 0]
    return u.min(), u.max()


def _covered(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the overlap of two intervals as a share of the shorter one."""
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    return overlap / min(a[1] - a[0], b[1] - b[0])


def _propose_user(
    rng: np.random.Generator, site: _Site, camera: Camera, profile: Profile
) -> Solid | None:
    """Draw a road user in view, or None where the road is out of view."""
    road = site.road
    index = int(rng.choice(3, p=profile.mix))
    kind = KINDS[index]
    look = sample_road_user(rng, kind)
    z = _depth(rng, *profile.depth[index])
    limit = (
        road.half_width - 0.9,
        road.corridor - 0.4,
        road.half_width + 0.6 * road.walk,
    )[index]
    low, high = road.x_range(z, limit)
    low = max(low, camera.column_to_x(0.03 * camera.width, z))
    high = min(high, camera.column_to_x(0.97 * camera.width, z))
    x = low + (high - low) * rng.random()
    yaw = _heading(
        rng, kind, road.lateral(x, z), road.yaw, profile.turned
    )  # fmt: skip
    if low >= high:
        return None
    position = site.ground.lift(np.array([x, z]))
    return Solid(look, position, wrap_angle(yaw), kind)


def _add_users(
    rng: np.random.Generator, site: _Site, camera: Camera, profile: Profile
) -> None:
    wanted = int(rng.integers(profile.count[0], profile.count[1] + 1))
    columns: list[tuple[float, float]] = []
    for _ in range(4 * wanted):
        solid = _propose_user(rng, site, camera, profile)
        if solid is None:
            continue
        length, _, width = solid.dims
        x, _, z = solid.position
        claim = footprint(x, z, length + 0.5, width + 0.5, solid.yaw)
        if claim[:, 1].min() < 2.0 or site.taken(claim):
            continue
        span = _columns(camera, solid)
        if any(_covered(span, c) > profile.cover for c in columns):
            continue
        site.solids.append(solid)
        columns.append(span)
        if len(columns) == wanted:
            break


def _add_plots(rng: np.random.Generator, site: _Site) -> None:
    """Add buildings, fences and gardens on both sides of the road."""
    road = site.road
    for side in (-1.0, 1.0):
        along = -6.0
        dense = rng.uniform(0.35, 0.9)
        while along < 130.0:
            length, depth = rng.uniform(8.0, 18.0), rng.uniform(8.0, 12.0)
            edge = road.corridor + rng.uniform(0.3, 2.5)
            middle = along + length / 2
            if rng.random() < dense:
                place = road.locate(middle, side * (edge + depth / 2))
                site.add(
                    sample_building(rng, length, depth), place, road.yaw
                )  # fmt: skip
            else:
                if rng.random() < 0.6:
                    place = road.locate(middle, side * edge)
                    site.add(sample_fence(rng, length), place, road.yaw)
                for _ in range(rng.integers(1, 4)):
                    place = road.locate(
                        along + rng.uniform(0.0, length),
                        side * (edge + rng.uniform(2.0, 8.0)),
                    )
                    if place[1] > 5.0:
                        site.add(sample_tree(rng), place, 0.0)
            along += length + rng.uniform(0.3, 4.0)


def _add_street_furniture(rng: np.random.Generator, site: _Site) -> None:
    """Add trees on the verge, lamps and signs behind the curb."""
    road = site.road
    leafy = rng.random() < 0.6
    for side in (-1.0, 1.0):
        along = rng.uniform(6.0, 14.0)
        while leafy and along < 90.0:
            lateral = road.corridor - 0.4 * road.verge
            place = road.locate(along, side * lateral)
            site.add(sample_tree(rng), place, 0.0)
            along += rng.uniform(7.0, 18.0)
        along = rng.uniform(7.0, 25.0)
        # The arm of a lamp reaches over the road.
        yaw = road.yaw + (np.pi / 2 if side < 0 else -np.pi / 2)
        while along < 80.0:
            place = road.locate(along, side * (road.half_width + 0.45))
            site.add(sample_lamp(rng), place, yaw + np.pi)
            along += rng.uniform(16.0, 30.0)
        for _ in range(rng.integers(0, 4)):
            along = _depth(rng, 7.0, 40.0)
            place = road.locate(along, side * (road.half_width + 0.7))
            site.add(sample_sign(rng), place, road.heading)


def sample_scene(
    rng: np.random.Generator, camera: Camera, profile: Profile
) -> Scene:
    """Draw a scene for a camera; all randomness comes from ``rng``."""
    ground = Ground(
        rng.uniform(*profile.height),
        rng.uniform(-profile.slope, profile.slope),
    )
    light = sample_light(rng)
    road = sample_road(rng, profile.half_width)
    surfaces = sample_surfaces(rng, road, ground)
    skyline = 0.012 + 0.03 * rng.random() + 0.012 * rng.random(40)
    site = _Site(road, ground)
    _add_users(rng, site, camera, profile)
    _add_plots(rng, site)
    _add_street_furniture(rng, site)
    return Scene(camera, ground, light, surfaces, skyline, site.solids)
