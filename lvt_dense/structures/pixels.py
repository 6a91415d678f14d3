"""Maps of pixels, as matrices of homogeneous coordinates.

Pixels count from their centers: column 0 is the center of the first one, and
the image reaches from -0.5 to ``width - 0.5``.
"""

import numpy as np


def resize_matrix(scale_x: float, scale_y: float) -> np.ndarray:
    """Return the (3, 3) map of the pixels of an image that is resized.

    The left edge of the image stays where it is, at -0.5, so that the pixel
    u goes to ``s * u + (s - 1) / 2``, as in OpenCV and PyTorch without
    ``align_corners``.

    Args:
        scale_x: New width over old width.
        scale_y: New height over old height.
    """
    return np.array(
        [
            [scale_x, 0.0, (scale_x - 1) / 2],
            [0.0, scale_y, (scale_y - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )


def flip_matrix(width: int) -> np.ndarray:
    """Return the (3, 3) map of the pixels of a mirrored image."""
    return np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])


def shift_matrix(dx: float, dy: float) -> np.ndarray:
    """Return the (3, 3) map that moves pixels by (dx, dy)."""
    return np.array([[1.0, 0, dx], [0, 1, dy], [0, 0, 1]])


def move_camera(cam2img: np.ndarray, pixel_map: np.ndarray) -> np.ndarray:
    """Put a map of pixels behind a projection.

    Args:
        cam2img: (3 or 4, 4) projection matrix.
        pixel_map: (3, 3).

    Returns:
        A new matrix of the shape of ``cam2img``.
    """
    moved = np.array(cam2img, dtype=np.float64)
    moved[:3] = pixel_map @ moved[:3]
    return moved


def move_boxes(bboxes: np.ndarray, pixel_map: np.ndarray) -> np.ndarray:
    """Move 2D boxes (M, 4) as xyxy by a map that keeps them upright."""
    corners = bboxes.reshape(-1, 2, 2) @ pixel_map[:2, :2].T
    corners = corners + pixel_map[:2, 2]
    low, high = corners.min(1), corners.max(1)
    return np.concatenate((low, high), 1).astype(bboxes.dtype)
