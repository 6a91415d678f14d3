"""Pinhole camera and ground plane of the rendered scenes.

Frames and units are KITTI's: camera-2 frame in meters, x right, y down,
z forward; pixels with (0, 0) at the center of the top left pixel.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lvt_dense.utils.errors import UserError

# The color camera of KITTI's most frequent set-up, for 1242 x 375 pixels.
KITTI_SIZE = (1242, 375)
KITTI_P2 = np.array([
    [721.5377, 0.0, 609.5593, 44.85728],
    [0.0, 721.5377, 172.854, 0.2163791],
    [0.0, 0.0, 1.0, 0.002745884],
])  # fmt: skip
MIN_SIDE = 32
MAX_SIDE = 8192
NEAR = 0.5  # meters; nothing nearer is drawn


@dataclass(frozen=True)
class Camera:
    """A pinhole camera given by its 3 x 4 projection matrix.

    Args:
        P2 (np.ndarray): (3, 4), meters in the camera-2 frame to homogeneous
            pixels.
        width: Image width in pixels.
        height: Image height in pixels.
    """

    P2: np.ndarray
    width: int
    height: int

    @classmethod
    def for_size(cls, width: int, height: int) -> 'Camera':
        """Resize KITTI's camera to cover the image, and crop it centrally.

        Raises:
            UserError: A side is out of range.
        """
        if not all(MIN_SIDE <= s <= MAX_SIDE for s in (width, height)):
            raise UserError(
                f'image size {width}x{height} cannot be rendered: each side '
                f'must be between {MIN_SIDE} and {MAX_SIDE} pixels'
            )
        scale = max(width / KITTI_SIZE[0], height / KITTI_SIZE[1])
        homography = np.diag([scale, scale, 1.0])
        homography[0, 2] = (width - scale * KITTI_SIZE[0]) / 2
        homography[1, 2] = (height - scale * KITTI_SIZE[1]) / 2
        return cls(homography @ KITTI_P2, width, height)

    @cached_property
    def center(self) -> np.ndarray:
        """Optical center (3,); off the origin because P2[:, 3] is not 0."""
        return -np.linalg.solve(self.P2[:, :3], self.P2[:, 3])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points (..., 3) with z > 0 to pixels (..., 2)."""
        uvw = points @ self.P2[:, :3].T + self.P2[:, 3]
        return uvw[..., :2] / uvw[..., 2:]

    def column_to_x(self, u: float, z: float) -> float:
        """Return the x at depth z that projects to pixel column u."""
        scale, _, center, offset = self.P2[0]
        return (u * (z + self.P2[2, 3]) - center * z - offset) / scale


@dataclass(frozen=True)
class Ground:
    """The plane y = height + slope * z, level from left to right.

    Boxes stand upright in the camera frame, as KITTI's labels assume; a small
    slope therefore stands for the pitch of the camera.
    """

    height: float
    slope: float

    def lift(self, xz: np.ndarray) -> np.ndarray:
        """Lift positions (..., 2), x and z, to points on the plane."""
        points = np.empty((*xz.shape[:-1], 3))
        points[..., ::2] = xz
        points[..., 1] = self.height + self.slope * xz[..., 1]
        return points

    def homography(self, camera: Camera) -> np.ndarray:
        """Return the (3, 3) matrix from (x, z, 1) on the plane to pixels."""
        plane = np.array([
            [1.0, 0.0, 0.0],
            [0.0, self.slope, self.height],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
        ])  # fmt: skip
        return camera.P2 @ plane

    def horizon(self, camera: Camera) -> float:
        """Return the pixel row of the vanishing line."""
        return camera.P2[1, 2] + camera.P2[1, 1] * self.slope
