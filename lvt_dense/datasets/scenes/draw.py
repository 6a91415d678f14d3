"""Draws a scene onto a canvas, from far to near."""

from dataclasses import dataclass

import cv2
import numpy as np

from .camera import NEAR, Camera
from .canvas import Canvas, fill_map, to_fixed
from .geometry import clip_near, painter_order
from .layout import Scene
from .light import Light
from .solids import Label, Solid

_SKY_BANDS = 40
# Details smaller than this many square pixels are left out: the outline of a
# polygon is always drawn, so they would grow over their surroundings.
_MIN_DETAIL = 1.0


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
    """Draws all of ``scene``."""
    camera = scene.camera
    canvas = Canvas(camera.width, camera.height)
    _draw_sky(canvas, scene)
    _draw_surfaces(canvas, scene)
    _draw_skyline(canvas, scene)
    shadow = np.full(canvas.ids.shape, 255, np.uint8)
    for solid in scene.solids:
        _cast_shadow(shadow, scene, solid)
    users, silhouettes = [], []
    bases = np.array([s.base for s in scene.solids]).reshape(-1, 4, 2)
    for i in painter_order(bases, camera.centre[[0, 2]]):
        solid = scene.solids[i]
        number = len(users) + 1 if solid.kind else 0
        pixels = _draw_solid(canvas, camera, scene.light, solid, number)
        if solid.kind:
            users.append(solid)
            silhouettes.append(pixels)
    return Drawing(canvas, shadow, users, silhouettes)


def _draw_sky(canvas: Canvas, scene: Scene) -> None:
    """Bands from the zenith's colour to the horizon's, over all rows."""
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
    colours = np.stack([s.colour for s in surfaces])
    first = canvas.add(
        scene.light.hazed(scene.light.lit(colours, up), depth),
        np.array([s.label for s in surfaces]),
        np.array([s.texture for s in surfaces]),
        ground=True,
    )
    for i, surface in enumerate(surfaces):
        corners = clip_near(surface.corners)
        if len(corners):
            canvas.fill(scene.camera.project(corners), first + i)


def _draw_skyline(canvas: Canvas, scene: Scene) -> None:
    """A far line of trees that hides the end of the ground."""
    camera, light = scene.camera, scene.light
    colour = np.array([[70.0, 100.0, 78.0]])
    number = canvas.add(
        light.hazed(colour, np.array([0.6 * light.haze])),
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
    """Darkens the ground from the solid's foot along the sun's rays."""
    light, camera = scene.light, scene.camera
    reach = -light.sun[[0, 2]] / -light.sun[1]
    height = solid.dims[1]
    if min(solid.dims[0], solid.dims[2]) < 0.4 or solid.position[2] < 2:
        return
    crown = solid.outline + height * reach
    if solid.stem:  # a tree: the shadow of its crown only
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


def _draw_solid(
    canvas: Canvas, camera: Camera, light: Light, solid: Solid, number: int
) -> int:
    """Draws the faces that look at the camera; returns pixels covered."""
    template = solid.template
    normals = solid.normals()
    middles = solid.place(template.middles)
    sight = middles - camera.centre
    facing = np.einsum('fc,fc->f', normals, sight) < 0
    parts = solid.place(template.centres) - camera.centre
    distance = np.linalg.norm(parts, axis=1)[template.parts]
    # Layers from below; within one the farther part first; within a part
    # the faces, then the details painted on them.
    order = np.lexsort((np.arange(len(facing)), -distance, template.layers))
    order = order[facing[order]]
    slots = template.slots[order]
    colours = light.lit(solid.palette[slots], normals[order])
    first = canvas.add(
        light.hazed(colours, middles[order, 2]),
        template.labels[slots],
        template.texture[slots],
        number,
    )
    points = solid.place(template.points[order])
    detail = template.detail[order]
    if points[..., 2].min() < NEAR:
        return _fill_clipped(canvas, camera, points, template.counts[order],
                             first)  # fmt: skip
    pixels = camera.project(points)
    low, high = pixels.min((0, 1)), pixels.max((0, 1))
    if (high < 0).any() or (low > [camera.width, camera.height]).any():
        return 0
    drawn = ~detail | (_areas(pixels) > _MIN_DETAIL)
    fixed = to_fixed(pixels)
    counts = template.counts[order].tolist()
    for i in np.flatnonzero(drawn).tolist():
        corners = fixed[i, : counts[i]]
        cv2.fillConvexPoly(canvas.ids, corners, first + i, 8, 4)
    left, top = np.maximum(low - 1, 0).astype(int)
    right, bottom = np.maximum(high + 3, 0).astype(int)
    # Numbers only grow, so what is at least ``first`` is this solid.
    crop = canvas.ids[top:bottom, left:right]
    return int(np.count_nonzero(crop >= first))


def _fill_clipped(
    canvas: Canvas,
    camera: Camera,
    points: np.ndarray,
    counts: np.ndarray,
    first: int,
) -> int:
    for i, count in enumerate(counts.tolist()):
        corners = clip_near(points[i, :count])
        if len(corners):
            canvas.fill(camera.project(corners), first + i)
    return int(np.count_nonzero(canvas.ids >= first))


def _areas(polygons: np.ndarray) -> np.ndarray:
    """(F,) areas of (F, K, 2) polygons, the shoelace formula."""
    x, y = polygons[..., 0], polygons[..., 1]
    x1, y1 = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    return np.abs((x * y1 - x1 * y).sum(axis=1)) / 2
