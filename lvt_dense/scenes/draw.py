"""Draw a scene onto a canvas, from far to near."""

from dataclasses import dataclass

import cv2
import numpy as np

from .camera import NEAR, Camera
from .canvas import Canvas, fill_map, to_fixed
from .faces import visible_faces
from .geometry import clip_near, painter_order, polygon_areas
from .layout import Scene
from .solids import Label, Solid

_SKY_BANDS = 40
# Details smaller than this many square pixels are left out: the outline of a
# polygon is always drawn, so they would grow over their surroundings.
_MIN_DETAIL = 1.5
_SHADOW_REACH = 70.0  # meters; farther ones are too thin to see


@dataclass(frozen=True)
class Drawing:
    """A drawn scene.

    Attributes:
        canvas: The canvas; instance numbers count from 1 in ``users``.
        shadow: (H, W) uint8, brightness of the ground, 255 in full light.
        users: The road users, far to near; hidden ones included.
        silhouettes: Pixels in the image that each of ``users`` would cover
            if nothing stood before it.
    """

    canvas: Canvas
    shadow: np.ndarray
    users: list[Solid]
    silhouettes: list[int]


def draw(scene: Scene) -> Drawing:
    """Draw all of a scene."""
    camera = scene.camera
    canvas = Canvas(camera.width, camera.height)
    _draw_sky(canvas, scene)
    _draw_surfaces(canvas, scene)
    _draw_skyline(canvas, scene)
    shadow = np.full(canvas.ids.shape, 255, np.uint8)
    for solid in scene.solids:
        _cast_shadow(shadow, scene, solid)
    bases = np.array([s.base for s in scene.solids]).reshape(-1, 4, 2)
    order = painter_order(bases, camera.center[[0, 2]])
    solids = [scene.solids[i] for i in order]
    silhouettes = _draw_solids(canvas, scene, solids)
    users = [s for s in solids if s.kind]
    return Drawing(canvas, shadow, users, silhouettes)


class _Polygons:
    """Convex polygons in space, projected in one go.

    Args:
        camera: The camera.
        points: (F, K, 3) corners, padded at the end.
        counts: F numbers of corners that are not padding.
    """

    def __init__(
        self, camera: Camera, points: np.ndarray, counts: list[int]
    ) -> None:
        self._camera, self._points, self._counts = camera, points, counts
        # Those that reach behind the camera are clipped when drawn.
        self._behind = points[..., 2].min(axis=1) < NEAR
        safe = np.where(self._behind[:, None, None], [0, 0, NEAR], points)
        self._pixels = camera.project(safe)
        self._fixed = to_fixed(self._pixels)
        low, high = self._pixels.min(axis=1), self._pixels.max(axis=1)
        size = (camera.width, camera.height)
        inside = (high > -1).all(axis=1) & (low < size).all(axis=1)
        #: (F,) whether a polygon may show in the image.
        self.in_view = inside | self._behind

    def areas(self) -> np.ndarray:
        """Return areas (F,) in square pixels; infinite where clipped."""
        return np.where(self._behind, np.inf, polygon_areas(self._pixels))

    def fill(self, canvas: Canvas, i: int, number: int) -> None:
        """Draw polygon ``i`` as material ``number``."""
        if self._behind[i]:
            corners = clip_near(self._points[i, : self._counts[i]])
            if len(corners):
                canvas.fill(self._camera.project(corners), number)
        else:
            corners = self._fixed[i, : self._counts[i]]
            cv2.fillConvexPoly(canvas.ids, corners, number, 8, 4)


def _draw_sky(canvas: Canvas, scene: Scene) -> None:
    """Draw bands from the zenith's color to the horizon's, on all rows."""
    part = np.linspace(0, 1, _SKY_BANDS)[:, None] ** 0.7
    top, low = scene.light.sky
    first = canvas.add(
        top * (1 - part) + low * part,
        np.full(_SKY_BANDS, Label.SKY),
        np.full(_SKY_BANDS, 0.12),
    )
    horizon = max(scene.ground.horizon(scene.camera), 1.0)
    rows = np.arange(canvas.ids.shape[0]) * (_SKY_BANDS / horizon)
    bands = np.minimum(rows, _SKY_BANDS - 1).astype(np.uint16)
    canvas.ids[:] = bands[:, None] + first


def _draw_surfaces(canvas: Canvas, scene: Scene) -> None:
    surfaces = scene.surfaces
    up = np.tile([0.0, -1.0, 0.0], (len(surfaces), 1))
    depth = np.array([s.corners[:, 2].mean() for s in surfaces])
    colors = np.stack([s.color for s in surfaces])
    first = canvas.add(
        scene.light.add_haze(scene.light.illuminate(colors, up), depth),
        np.array([s.label for s in surfaces]),
        np.array([s.texture for s in surfaces]),
        ground=True,
    )
    corners = np.stack([s.corners for s in surfaces])
    polygons = _Polygons(scene.camera, corners, [4] * len(surfaces))
    for i in polygons.in_view.nonzero()[0].tolist():
        polygons.fill(canvas, i, first + i)


def _draw_skyline(canvas: Canvas, scene: Scene) -> None:
    """Draw a far line of trees that hides the end of the ground."""
    camera, light = scene.camera, scene.light
    color = np.array([[70.0, 100.0, 78.0]])
    number = canvas.add(
        light.add_haze(color, np.array([0.6 * light.haze])),
        np.array([Label.TREE]),
        np.array([0.5]),
    )
    horizon = scene.ground.horizon(camera)
    u = np.linspace(-1, camera.width, len(scene.skyline))
    v = horizon - scene.skyline * camera.P2[1, 1]
    foot = horizon + 0.004 * camera.P2[1, 1]
    outline = np.stack([
        np.concatenate([u, [camera.width, -1]]),
        np.concatenate([v, [foot, foot]]),
    ], axis=1)  # fmt: skip
    cv2.fillPoly(canvas.ids, [to_fixed(outline)], number, 8, 4)


def _cast_shadow(shadow: np.ndarray, scene: Scene, solid: Solid) -> None:
    """Darken the ground from the solid's foot along the sun's rays."""
    light, camera = scene.light, scene.camera
    reach = -light.sun[[0, 2]] / -light.sun[1]
    height = solid.dims[1]
    thin = min(solid.dims[0], solid.dims[2]) < 0.4
    if thin or not 2.0 < solid.position[2] < _SHADOW_REACH:
        return
    crown = solid.outline + height * reach
    if solid.look.stem:  # a tree: the shadow of its crown only
        crown = solid.outline * 0.8 + 0.2 * solid.outline.mean(0)
        crown = crown + 0.65 * height * reach
    points = np.concatenate([solid.base, crown]).astype(np.float32)
    hull = cv2.convexHull(points)[:, 0].astype(float)
    corners = clip_near(scene.ground.lift(hull))
    if len(corners) > 2:
        value = int(255 * light.shade)
        fill_map(shadow, camera.project(corners), value)
    if solid.kind:  # ambient light does not reach under it either
        corners = scene.ground.lift(solid.base)
        fill_map(shadow, camera.project(corners), int(150 * light.shade))


def _draw_solids(
    canvas: Canvas, scene: Scene, solids: list[Solid]
) -> list[int]:
    """Draw solids in the order given; return the users' silhouettes."""
    if not solids:
        return []
    camera = scene.camera
    numbers = np.cumsum([s.kind is not None for s in solids])
    numbers[[s.kind is None for s in solids]] = 0
    faces = visible_faces(solids, camera.center)
    first = canvas.add(
        scene.light.add_haze(
            scene.light.illuminate(faces.colors, faces.normals), faces.depth
        ),
        faces.labels,
        faces.texture,
        numbers[faces.owner],
    )
    polygons = _Polygons(camera, faces.points, faces.counts.tolist())
    drawn = polygons.in_view & (
        ~faces.detail | (polygons.areas() > _MIN_DETAIL)
    )
    starts = np.searchsorted(faces.owner, np.arange(len(solids) + 1))
    silhouettes = []
    for k, solid in enumerate(solids):
        first_face, last = int(starts[k]), int(starts[k + 1])
        for i in drawn[first_face:last].nonzero()[0].tolist():
            i += first_face
            polygons.fill(canvas, i, first + i)
        if solid.kind:
            silhouettes.append(
                _count_from(canvas, camera, solid, first + first_face)
            )
    return silhouettes


def _count_from(
    canvas: Canvas, camera: Camera, solid: Solid, first: int
) -> int:
    """Count the pixels of the solid drawn last."""
    corners = camera.project(solid.corners())
    left, top = np.maximum(corners.min(0) - 2, 0).astype(int)
    right, bottom = np.maximum(corners.max(0) + 3, 0).astype(int)
    # Numbers only grow from far to near.
    return int(np.count_nonzero(canvas.ids[top:bottom, left:right] >= first))
