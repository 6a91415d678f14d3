"""The raster: one map of material numbers for picture and labels alike.

Every polygon is drawn once, as the number of its material; colors, semantic
labels and instances are looked up by that number afterwards. A pixel's
labels therefore always belong to the very surface that colors it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

_SHIFT = 4  # fractional bits of polygon corners
_LIMIT = 2**26


@dataclass(frozen=True)
class Materials:
    """Look-up tables over material numbers.

    Attributes:
        colors: (M, 3) BGR, 0..255.
        labels: (M,) semantic labels.
        texture: (M,) strength of the texture, 0..1.
        ground: (M,) whether textures and shadows lie on the ground plane.
        instances: (M,) 0 for the backdrop, else the road user's number.
    """

    colors: np.ndarray
    labels: np.ndarray
    texture: np.ndarray
    ground: np.ndarray
    instances: np.ndarray


class Canvas:
    """A map of material numbers under construction."""

    def __init__(self, width: int, height: int) -> None:
        self.ids = np.zeros((height, width), np.uint16)
        self._rows: list[tuple] = []
        self._count = 0

    def add(
        self,
        colors: np.ndarray,
        labels: np.ndarray,
        texture: np.ndarray,
        instance: int = 0,
        ground: bool = False,
    ) -> int:
        """Add (n, 3) colors with (n,) labels and textures.

        Returns:
            Number of the first material added; the others follow.
        """
        first, n = self._count, len(colors)
        flags = np.full(n, ground), np.full(n, instance)
        self._rows.append((colors, labels, texture, *flags))
        self._count += n
        return first

    def fill(self, polygon: np.ndarray, number: int) -> None:
        """Draw a convex polygon, (K, 2) pixels, as material ``number``."""
        cv2.fillConvexPoly(self.ids, to_fixed(polygon), number, 8, _SHIFT)

    def materials(self) -> Materials:
        """Return the tables of all materials added so far."""
        return Materials(*(np.concatenate(c) for c in zip(*self._rows)))


def to_fixed(polygon: np.ndarray) -> np.ndarray:
    """Convert pixels to the fixed-point int32 of :meth:`Canvas.fill`."""
    fixed = np.rint(polygon * (1 << _SHIFT))
    return np.clip(fixed, -_LIMIT, _LIMIT).astype(np.int32)


def fill_map(target: np.ndarray, polygon: np.ndarray, value: int) -> None:
    """Draw a convex polygon, (K, 2) pixels, on any single-channel map."""
    cv2.fillConvexPoly(target, to_fixed(polygon), value, 8, _SHIFT)
