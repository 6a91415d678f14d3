"""The faces of many solids that look at the camera, in drawing order."""

from dataclasses import dataclass

import numpy as np

from .solids import Solid


@dataclass(frozen=True)
class Faces:
    """Faces of several solids, one row each.

    Attributes:
        owner: (F,) index of the solid, never falling.
        points: (F, K, 3) corners in the camera-2 frame, padded at the end.
        counts: (F,) number of corners that are not padding.
        normals: (F, 3) unit outward normals.
        depth: (F,) z of the middle of the face.
        colors: (F, 3) BGR surface colors.
        labels: (F,) semantic labels.
        texture: (F,) strength of the texture.
        detail: (F,) painted on another face.
    """

    owner: np.ndarray
    points: np.ndarray
    counts: np.ndarray
    normals: np.ndarray
    depth: np.ndarray
    colors: np.ndarray
    labels: np.ndarray
    texture: np.ndarray
    detail: np.ndarray


def visible_faces(solids: list[Solid], eye: np.ndarray) -> Faces:
    """Find the faces that look at ``eye`` (3,), solid after solid.

    Within a solid layers come from below; within a layer the farther convex
    part first; within a part the faces, then the details painted on them.
    All solids are turned and sorted in one go, which is many times as fast
    as one by one.
    """
    templates = [s.look.template for s in solids]

    def concat(name: str) -> np.ndarray:
        return np.concatenate([getattr(t, name) for t in templates])

    def starts(sizes: list[int]) -> np.ndarray:
        return np.cumsum([0, *sizes[:-1]])

    sizes = [len(t.counts) for t in templates]
    owner = np.repeat(np.arange(len(solids)), sizes)
    axes = np.stack([s.axes for s in solids])
    origin = np.stack([s.position for s in solids]) - eye
    normal_axes = np.stack([s.normal_axes for s in solids])
    normals = np.einsum('fij,fj->fi', normal_axes[owner], concat('normals'))
    sight = np.einsum('fij,fj->fi', axes[owner], concat('middles'))
    sight += origin[owner]
    facing = np.einsum('fi,fi->f', normals, sight) < 0

    parts = [len(t.centers) for t in templates]
    part_owner = np.repeat(np.arange(len(solids)), parts)
    centers = np.einsum('pij,pj->pi', axes[part_owner], concat('centers'))
    distance = np.linalg.norm(centers + origin[part_owner], axis=1)
    part = concat('parts') + starts(parts)[owner]
    # lexsort is stable: faces keep their order within a part.
    order = np.lexsort((-distance[part], concat('layers'), owner))
    order = order[facing[order]]

    owner = owner[order]
    points = np.einsum('fij,fkj->fki', axes[owner], concat('points')[order])
    points += (origin + eye)[owner][:, None]
    normals = normals[order]
    palette = np.concatenate([s.look.palette for s in solids])
    slot = starts([len(s.look.palette) for s in solids])[owner]
    return Faces(
        owner=owner,
        points=points,
        counts=concat('counts')[order],
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        depth=sight[order, 2] + eye[2],
        colors=palette[slot + concat('slots')[order]],
        labels=concat('labels')[order],
        texture=concat('texture')[order],
        detail=concat('detail')[order],
    )
