"""Geometry of boxes, pixels and angles."""

from .angles import wrap_angle
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
    yaw_to_alpha,
)
from .pixels import (
    flip_matrix,
    move_boxes,
    move_camera,
    resize_matrix,
    shift_matrix,
)
from .selection import centers_inside, select_objects

__all__ = [
    'BOX_EDGES',
    'FRONT_FACE',
    'NEAR_PLANE',
    'alpha_to_yaw',
    'box2d_from_boxes3d',
    'boxes_to_bev',
    'boxes_to_corners',
    'centers_inside',
    'flip_matrix',
    'geometric_centers',
    'move_boxes',
    'move_camera',
    'project_edges',
    'project_points',
    'resize_matrix',
    'select_objects',
    'shift_matrix',
    'unproject_points',
    'wrap_angle',
    'yaw_to_alpha',
]
