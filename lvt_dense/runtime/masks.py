"""Masks of objects: the part of an image that each lies in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .images import sample_rows


@dataclass
class Mask:
    """Pixels of an object, kept as a part of its image.

    Attributes:
        part: Pixels of the object, (h, w) bool.
        corner: Column and row of the part's upper left pixel.
        shape: Height and width of the image.
    """

    part: np.ndarray
    corner: tuple[int, int]
    shape: tuple[int, int]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.part.sum())

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where in the image the part lies."""
        (x, y), (height, width) = self.corner, self.part.shape
        return slice(y, y + height), slice(x, x + width)

    def full(self) -> np.ndarray:
        """Return the mask of the whole image, (H, W) bool."""
        out = np.zeros(self.shape, bool)
        out[self.slices] = self.part
        return out

    def move(self, corner: Sequence[int], shape: Sequence[int]) -> 'Mask':
        """Place the image of the mask in a larger one.

        Args:
            corner: Column and row of its upper left pixel there.
            shape: Height and width of the larger image.
        """
        x, y = self.corner
        return Mask(
            self.part, (x + corner[0], y + corner[1]), (shape[0], shape[1])
        )

    def to_rle(self) -> dict:
        """Return COCO's compressed run-length code, ``counts`` as text."""
        x, y = self.corner
        columns, rows = np.nonzero(self.part.T)
        index = (columns + x) * self.shape[0] + rows + y
        breaks = np.flatnonzero(np.diff(index) > 1) + 1
        starts = np.concatenate([index[:1], index[breaks]])
        ends = np.concatenate([index[breaks - 1], index[-1:]]) + 1
        edges = np.stack([starts, ends], 1).ravel()
        total = self.shape[0] * self.shape[1]
        counts = np.diff(np.concatenate([[0], edges, [total]]))
        if len(counts) % 2 == 0 and counts[-1] == 0:
            counts = counts[:-1]
        return dict(size=list(self.shape), counts=_compress(counts))


def _compress(counts: np.ndarray) -> str:
    """Write run lengths as pycocotools does: 5 bits a character.

    From the third on, the difference to the last but one is written.
    """
    out = []
    for i, count in enumerate(counts.tolist()):
        value = count - int(counts[i - 2]) if i > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            out.append(chr((bits | 32 if more else bits) + 48))
    return ''.join(out)


def sample_mask(
    mask: np.ndarray, box: np.ndarray, shape: Sequence[int]
) -> Mask:
    """Sample the mask of a box at the pixels of an image.

    Args:
        mask: Probabilities in the cells of the box, (S, S).
        box: x1, y1, x2, y2 in pixels.
        shape: Height and width of the image.

    Returns:
        Pixels with a probability of at least 0.5.
    """
    whole = (int(shape[0]), int(shape[1]))
    x1, y1, x2, y2 = box
    left, top = max(int(np.floor(x1)), 0), max(int(np.floor(y1)), 0)
    right = min(int(np.ceil(x2)), whole[1])
    bottom = min(int(np.ceil(y2)), whole[0])
    if right <= left or bottom <= top:
        return Mask(np.zeros((0, 0), bool), (0, 0), whole)
    padded = np.pad(mask, 1)
    rows = (np.arange(top, bottom) + 0.5 - y1) / max(y2 - y1, 1e-6)
    columns = (np.arange(left, right) + 0.5 - x1) / max(x2 - x1, 1e-6)
    rows, columns = rows * len(mask) + 0.5, columns * len(mask) + 0.5
    value = sample_rows(sample_rows(padded, rows).T, columns).T
    return Mask(value >= 0.5, (left, top), whole)


def cut_mask(full: np.ndarray) -> Mask:
    """Keep the part of a mask (H, W) bool that has pixels of the object."""
    shape = (full.shape[0], full.shape[1])
    rows, columns = (np.flatnonzero(full.any(axis)) for axis in (1, 0))
    if not len(rows):
        return Mask(np.zeros((0, 0), bool), (0, 0), shape)
    top, left = int(rows[0]), int(columns[0])
    part = full[top : rows[-1] + 1, left : columns[-1] + 1].astype(bool)
    return Mask(part, (left, top), shape)


def paste_mask(
    mask: np.ndarray, box: np.ndarray, shape: Sequence[int]
) -> np.ndarray:
    """Sample the mask of a box at all pixels of an image, (H, W) bool.

    The arguments are those of :func:`sample_mask`.
    """
    return sample_mask(mask, box, shape).full()
