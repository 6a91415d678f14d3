"""Solids made of flat faces: the templates and their builder.

A template is built in meters for nominal dimensions and stored for a unit
box, so that it fits any box: x in [-0.5, 0.5] along the length (front at
+x), y in [-1, 0] with the bottom at 0 and the top at -1 (y points down),
z in [-0.5, 0.5] across.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import torch

from lvt_dense.structures import boxes_to_corners

from .geometry import footprint, rotation_y

# Corners of a face; polygons with fewer repeat their last one.
CORNERS = 10


class Label(IntEnum):
    """What a pixel shows, in the scene's own numbering."""

    SKY = 0
    ROAD = 1
    SIDEWALK = 2
    GRASS = 3
    BUILDING = 4
    FENCE = 5
    TREE = 6
    POLE = 7
    SIGN = 8
    CAR = 9
    PERSON = 10
    RIDER = 11
    BICYCLE = 12


@dataclass(frozen=True)
class Template:
    """Faces of a solid, in drawing order within a part.

    Attributes:
        points: (F, CORNERS, 3) corners in the unit box.
        counts: (F,) number of corners that are not padding.
        middles: (F, 3) a point on each face.
        normals: (F, 3) outward, for the nominal dimensions times ``dims``.
        slots: (F,) index into the palette.
        parts: (F,) convex part of each face.
        layers: (F,) parts of a higher layer are drawn later.
        detail: (F,) painted on another face: dropped when tiny.
        centers: (P, 3) centers of the parts.
        labels: (F,) label of what the face shows.
        texture: (F,) strength of the texture, 0..1.
    """

    points: np.ndarray
    counts: np.ndarray
    middles: np.ndarray
    normals: np.ndarray
    slots: np.ndarray
    parts: np.ndarray
    layers: np.ndarray
    detail: np.ndarray
    centers: np.ndarray
    labels: np.ndarray
    texture: np.ndarray


@dataclass(frozen=True)
class Look:
    """What a solid looks like wherever it stands.

    Args:
        template: Shape.
        dims: Length, height and width in meters.
        palette: (S, 3) BGR color of each slot, 0..255.
        stem: Length and width of what stands on the
            ground, when the rest hangs above the road users' heads.
    """

    template: Template
    dims: tuple[float, float, float]
    palette: np.ndarray
    stem: tuple[float, float] | None = None


@dataclass(frozen=True)
class Solid:
    """A look placed in the scene.

    Args:
        look: Shape, size and colors.
        position: (3,) center of the bottom, camera-2 frame.
        yaw: KITTI's rotation_y in radians.
        kind: 'car', 'pedestrian' or 'cyclist'; None for the
            backdrop, which has no instance of its own.
    """

    look: Look
    position: np.ndarray
    yaw: float
    kind: str | None = None

    @property
    def dims(self) -> tuple[float, float, float]:
        """Length, height and width in meters."""
        return self.look.dims

    @cached_property
    def base(self) -> np.ndarray:
        """Corners (4, 2), x and z, of what stands on the ground."""
        length, width = self.look.stem or (self.dims[0], self.dims[2])
        x, _, z = self.position
        return footprint(x, z, length, width, self.yaw)

    @cached_property
    def outline(self) -> np.ndarray:
        """Corners (4, 2), x and z, of the whole, seen from above."""
        x, _, z = self.position
        return footprint(x, z, self.dims[0], self.dims[2], self.yaw)

    @cached_property
    def circle(self) -> tuple[float, float, float]:
        """x, z and radius in meters of the circle around the base."""
        radius = math.hypot(*(self.base[0] - self.base[2])) / 2
        return float(self.position[0]), float(self.position[2]), radius

    @cached_property
    def axes(self) -> np.ndarray:
        """Matrix (3, 3) from the unit box to the camera frame's axes."""
        return rotation_y(self.yaw) * self.dims

    @cached_property
    def normal_axes(self) -> np.ndarray:
        """The same for normals, which scale inversely to lengths."""
        return rotation_y(self.yaw) / self.dims

    @cached_property
    def box3d(self) -> np.ndarray:
        """3D box (7,): x, y, z of the bottom, l, h, w in meters, and yaw."""
        return np.array([*self.position, *self.dims, self.yaw])

    def corners(self) -> np.ndarray:
        """Return the corners (8, 3) of the 3D box."""
        return boxes_to_corners(torch.from_numpy(self.box3d)).numpy()


Sides = dict[str, np.ndarray]


class Builder:
    """Collects the faces of a template, in meters with y up from the ground.

    Args:
        dims: Nominal length, height and width of the whole solid.
        slots: name -> (Label, texture strength).
    """

    def __init__(
        self,
        dims: tuple[float, float, float],
        slots: dict[str, tuple[Label, float]],
    ) -> None:
        self.dims = np.array(dims)
        self.slots = slots
        self._names = list(slots)
        self._faces: list[tuple] = []
        self._layers: list[int] = []
        self._centers: list[np.ndarray] = []

    def part(self, layer: int = 0) -> None:
        """Start a convex part; faces that follow belong to it."""
        self._layers.append(layer)

    def face(
        self,
        points: np.ndarray,
        slot: str,
        outward: np.ndarray,
        detail: bool = False,
    ) -> None:
        """Add a convex polygon whose normal has the side of ``outward``."""
        points = np.asarray(points, float)
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        normal *= np.sign(normal @ outward)
        part = len(self._layers) - 1
        slot_index = self._names.index(slot)
        self._faces.append((points, normal, slot_index, part, detail))

    def frustum(
        self,
        low: tuple[float, float, float, float, float],
        high: tuple[float, float, float, float, float],
        slot: str,
        layer: int = 0,
    ) -> Sides:
        """Add a part between two level rectangles (y, x0, x1, z0, z1).

        Returns:
            The side quads 'front' (+x), 'back', 'left' (-z), 'right'
            and 'top', each (4, 3), turning the same way seen from outside:
            for the upright ones two lower corners, then two upper ones.
        """

        def rectangle(
            y: float, x0: float, x1: float, z0: float, z1: float
        ) -> np.ndarray:
            return np.array(
                [[x0, y, z0], [x1, y, z0], [x1, y, z1], [x0, y, z1]], float
            )

        a, b = rectangle(*low), rectangle(*high)
        self.part(layer)
        sides = {
            'left': np.array([a[0], a[1], b[1], b[0]]),
            'front': np.array([a[1], a[2], b[2], b[1]]),
            'right': np.array([a[2], a[3], b[3], b[2]]),
            'back': np.array([a[3], a[0], b[0], b[3]]),
            'top': b,
            'bottom': a,
        }
        middle = (a.mean(0) + b.mean(0)) / 2
        for points in sides.values():
            self.face(points, slot, points.mean(0) - middle)
        return sides

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        slot: str,
        layer: int = 0,
    ) -> Sides:
        """Add a part with upright sides; see :meth:`frustum`."""
        return self.frustum((y[0], *x, *z), (y[1], *x, *z), slot, layer)

    def decal(
        self,
        side: np.ndarray,
        u: tuple[float, float],
        v: tuple[float, float],
        slot: str,
    ) -> None:
        """Paint the part u x v (fractions, v from below) of a side."""
        a, b, c, d = side

        def at(s: float, t: float) -> np.ndarray:
            return (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * d + s * c)

        points = [
            at(u[0], v[0]), at(u[1], v[0]), at(u[1], v[1]), at(u[0], v[1])
        ]  # fmt: skip
        outward = np.cross(d - a, b - a)
        self.face(np.array(points), slot, outward, detail=True)

    def disc(
        self,
        center: tuple[float, float, float],
        radius: float,
        outward: float,
        slot: str,
        detail: bool = False,
    ) -> None:
        """Add a wheel in a plane of constant z, seen from one side."""
        angle = np.arange(CORNERS) * 2 * np.pi / CORNERS
        points = np.array(center) + radius * np.stack(
            [np.cos(angle), np.sin(angle), np.zeros(CORNERS)], axis=1
        )
        self.face(points, slot, np.array([0.0, 0.0, outward]), detail)

    def ball(
        self,
        center: tuple[float, float, float],
        radii: tuple[float, float, float],
        slot: str,
        layer: int = 0,
        sides: int = 8,
    ) -> None:
        """Add a faceted ellipsoid: two caps and three bands."""
        self.part(layer)
        turn = np.arange(sides) * 2 * np.pi / sides
        rings = []
        for height in np.radians([-65.0, -25.0, 25.0, 65.0]):
            across = np.cos(height)
            ring = np.stack(
                [
                    across * np.cos(turn),
                    np.full(sides, np.sin(height)),
                    across * np.sin(turn),
                ],
                axis=1,
            )
            rings.append(np.array(center) + ring * radii)
        middle = np.array(center)
        for below, above in zip(rings, rings[1:]):
            for i in range(sides):
                j = (i + 1) % sides
                quad = np.array([below[i], below[j], above[j], above[i]])
                self.face(quad, slot, quad.mean(0) - middle)
        for cap in (rings[0], rings[-1]):
            self.face(cap, slot, cap.mean(0) - middle)

    def build(self) -> Template:
        """Build the template, in the unit box and with y down."""
        to_unit = np.array([1.0, -1.0, 1.0]) / self.dims
        faces, looks = self._faces, list(self.slots.values())
        slots = np.array([f[2] for f in faces])
        parts = np.array([f[3] for f in faces])
        padded = np.stack([
            np.pad(f[0], ((0, CORNERS - len(f[0])), (0, 0)), mode='edge')
            for f in faces
        ])  # fmt: skip
        centers = np.stack([
            np.mean([f[0].mean(0) for f in faces if f[3] == p], axis=0)
            for p in range(len(self._layers))
        ])  # fmt: skip
        return Template(
            points=padded * to_unit,
            counts=np.array([len(f[0]) for f in faces]),
            middles=np.stack([f[0].mean(0) for f in faces]) * to_unit,
            # Normals scale inversely to lengths.
            normals=np.stack([f[1] for f in faces]) / to_unit,
            slots=slots,
            parts=parts,
            layers=np.array(self._layers)[parts],
            detail=np.array([f[4] for f in faces]),
            centers=centers * to_unit,
            labels=np.array([int(kind) for kind, _ in looks])[slots],
            texture=np.array([texture for _, texture in looks])[slots],
        )
