"""Labels and results of KITTI in a record."""

import numpy as np

from lvt_dense.datasets.kitti.labels import KittiObjects

from .records import Record


def pack_kitti(parts: list[KittiObjects], kind: str) -> dict[str, np.ndarray]:
    """Return the arrays of ``Record.extra`` of the objects of all frames.

    Args:
        parts: Objects of each frame.
        kind: ``truth`` or ``detection``.
    """
    objects = KittiObjects.concatenate(parts)
    return {
        f'{kind}_types': objects.types.astype(np.str_),
        f'{kind}_rows': np.concatenate(
            (objects.to_rows(), objects.scores[:, None]), 1
        ),
        f'{kind}_frames': np.repeat(
            np.arange(len(parts)), [len(part) for part in parts]
        ),
    }


def unpack_kitti(record: Record, kind: str) -> list[KittiObjects]:
    """Return the objects of each frame from ``Record.extra``."""
    types = record.extra[f'{kind}_types']
    rows = record.extra[f'{kind}_rows']
    frames = record.extra[f'{kind}_frames']
    return [
        KittiObjects.from_rows(
            types[frames == i].tolist(), rows[frames == i].tolist()
        )
        for i in range(len(record.images))
    ]
