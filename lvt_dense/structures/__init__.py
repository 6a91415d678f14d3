"""Geometry of 3D boxes."""

from .boxes_3d import (
    BOX_EDGES,
    FRONT_FACE,
    NEAR_PLANE,
    alpha_to_yaw,
    box2d_from_boxes3d,
    boxes_to_bev,
    boxes_to_corners,
    geometric_centers,
    project_edges,
    project_points,
    unproject_points,
    wrap_angle,
    yaw_to_alpha,
)

__all__ = [
    'BOX_EDGES',
    'FRONT_FACE',
    'NEAR_PLANE',
    'alpha_to_yaw',
    'box2d_from_boxes3d',
    'boxes_to_bev',
    'boxes_to_corners',
    'geometric_centers',
    'project_edges',
    'project_points',
    'unproject_points',
    'wrap_angle',
    'yaw_to_alpha',
]
