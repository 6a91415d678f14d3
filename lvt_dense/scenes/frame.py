"""One rendered frame with everything that is known about it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from lvt_dense.structures import (
    geometric_centers,
    project_points,
    yaw_to_alpha,
)

from .camera import Camera
from .draw import Drawing, draw
from .layout import Profile, Scene, sample_scene
from .shading import shade
from .solids import Solid


@dataclass(frozen=True)
class RoadUser:
    """A car, pedestrian or cyclist in a frame.

    Attributes:
        kind: 'car', 'pedestrian' or 'cyclist'.
        number: Its value in the frame's instance map.
        box: (4,) x1, y1, x2, y2 of the visible pixels: first column and row,
            last column and row plus one. Zeros when nothing is visible.
        area: Number of visible pixels.
        visible: Visible share of the pixels it would cover in the image if
            nothing stood before it.
        projected: (4,) x1, y1, x2, y2 of the projected 3D box, clipped to
            [0, W - 1] and [0, H - 1].
        truncation: Share of the projected 3D box's rectangle that lies
            outside the image.
        box3d: (7,) x, y, z of the center of the bottom, l, h, w in meters
            and rotation_y, in KITTI's camera-2 frame.
        alpha: Observation angle in [-pi, pi), see
            :mod:`lvt_dense.structures.boxes_3d`.
    """

    kind: str
    number: int
    box: np.ndarray
    area: int
    visible: float
    projected: np.ndarray
    truncation: float
    box3d: np.ndarray
    alpha: float


@dataclass(frozen=True)
class Frame:
    """A picture and its labels.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        labels: (H, W) uint8 of :class:`Label`.
        instances: (H, W) uint8, 0 for the backdrop, else RoadUser.number.
        users: Road users with at least one visible pixel, far to near.
        camera: The camera.
    """

    image: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    users: list[RoadUser]
    camera: Camera


def render(seed: int, index: int, camera: Camera, profile: Profile) -> Frame:
    """Render frame ``index`` of the series ``seed``.

    A frame depends on nothing but the arguments: neither on how many frames
    there are nor on those rendered before.
    """
    rng = np.random.default_rng([seed, index])
    return render_scene(sample_scene(rng, camera, profile))


def render_scene(scene: Scene) -> Frame:
    """Render a given scene."""
    drawing = draw(scene)
    materials = drawing.canvas.materials()
    packed = np.stack([materials.labels, materials.instances], axis=1)
    table = packed.astype(np.uint8).view(np.uint16)[:, 0]
    both = np.take(table, drawing.canvas.ids).view(np.uint8)
    labels, instances = cv2.split(both.reshape(*drawing.canvas.ids.shape, 2))
    return Frame(
        image=shade(scene, drawing),
        labels=labels,
        instances=instances,
        users=_road_users(scene.camera, drawing, instances),
        camera=scene.camera,
    )


def _road_users(
    camera: Camera, drawing: Drawing, instances: np.ndarray
) -> list[RoadUser]:
    counts = np.bincount(instances.ravel(), minlength=256)
    users = []
    for i, solid in enumerate(drawing.users):
        number = i + 1
        if counts[number] == 0 or solid.kind is None:
            continue
        projected, truncation = _projected_box(camera, solid)
        # Drawn outlines reach up to a pixel beyond the projected box.
        left, top = np.maximum(projected[:2] - 2, 0).astype(int).tolist()
        right, bottom = (projected[2:] + 3).astype(int).tolist()
        mask = instances[top:bottom, left:right] == number
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        users.append(
            RoadUser(
                kind=solid.kind,
                number=number,
                box=np.array([left, top, left, top])
                + [x, y, x + width, y + height],
                area=int(counts[number]),
                visible=float(counts[number] / drawing.silhouettes[i]),
                projected=projected,
                truncation=truncation,
                box3d=solid.box3d,
                alpha=_alpha(camera, solid),
            )
        )
    return users


def _projected_box(camera: Camera, solid: Solid) -> tuple[np.ndarray, float]:
    corners = camera.project(solid.corners())
    low, high = corners.min(0), corners.max(0)
    last = np.array([camera.width - 1.0, camera.height - 1.0])
    inner_low, inner_high = np.clip(low, 0, last), np.clip(high, 0, last)
    share = np.prod(inner_high - inner_low) / np.prod(high - low)
    return np.concatenate([inner_low, inner_high]), float(1 - share)


def _alpha(camera: Camera, solid: Solid) -> float:
    box = torch.from_numpy(solid.box3d)
    u = project_points(geometric_centers(box), camera.P2)[0]
    return float(yaw_to_alpha(box[6], u, camera.P2))
