"""Where the annotations of every image stand in a COCO file.

An annotation file is read once, and checked on the way; what is remembered
are the places of its annotations. A data set then reads those of an image
when it needs them, in every process from the same file.
"""

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lvt_dense.utils.cache import cache_dir, write_quietly

VERSION = 3


@dataclass
class CocoReport:
    """What an annotation file holds.

    Attributes:
        fault: Why it cannot be used; None if it can.
        mask_fault: Why its masks cannot be used; None if they can.
        categories: Names in the order of the file.
        used: Objects of every category that has some, crowds left out.
        num_images: Number of images.
        num_annotations: Number of annotations; -1 if the file has no list of
            them, as for a test set.
        largest_side: The largest among the shorter sides of the images.
        flat: Boxes without area.
        small: Boxes with a side below one pixel, which are never learned.
        ignored: Annotations with ``ignore``, which are never learned.
        repeated: Images that are listed more than once.
    """

    fault: str | None = None
    mask_fault: str | None = None
    categories: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    num_images: int = 0
    num_annotations: int = -1
    largest_side: int = 0
    flat: int = 0
    small: int = 0
    ignored: int = 0
    repeated: int = 0


@dataclass
class CocoIndex:
    """Images, categories, and places of annotations.

    Attributes:
        report: What the checks say.
        images: Id, file name, width and height of each image.
        categories: Id and name of each category.
        first: (images + 1,), the first annotation of each image in the
            arrays below, which are sorted by image.
        starts: (annotations,), offset of the first byte in the file.
        stops: (annotations,), offset behind the last byte.
        labels: (annotations,), index into ``categories``.
    """

    report: CocoReport
    images: list[list]
    categories: list[list]
    first: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    labels: np.ndarray

    @classmethod
    def build(
        cls,
        report: CocoReport,
        images: list[list],
        categories: list[list],
        places: np.ndarray,
    ) -> 'CocoIndex':
        """Sort annotations by image.

        Args:
            report: As in the class.
            images: As in the class.
            categories: As in the class.
            places: (annotations, 4), start, stop, index of the image and of
                the category, in the order of the file.
        """
        order = np.argsort(places[:, 2], kind='stable')
        starts, stops, owners, labels = places[order].T
        counts = np.bincount(owners, minlength=len(images))
        first = np.concatenate(([0], np.cumsum(counts)))
        return cls(
            report,
            images,
            categories,
            first,
            starts.copy(),
            stops.copy(),
            labels.astype(np.int32),
        )

    def save(self, path: Path, masks: bool) -> None:
        """Remember the index of a file; errors do not matter.

        Args:
            path: The annotation file.
            masks: Whether its masks were checked.
        """
        head = dict(
            report=asdict(self.report),
            images=self.images,
            categories=self.categories,
        )
        buffer = io.BytesIO()
        np.savez(
            buffer,
            head=np.frombuffer(json.dumps(head).encode(), np.uint8),
            first=self.first,
            starts=self.starts,
            stops=self.stops,
            labels=self.labels,
        )
        write_quietly(find_index_file(path, masks), buffer.getvalue())

    @classmethod
    def load(cls, path: Path, masks: bool) -> 'CocoIndex | None':
        """Load the index of a file; None if it is unknown or was changed."""
        try:
            with np.load(
                find_index_file(path, masks), allow_pickle=False
            ) as file:
                head = json.loads(file['head'].tobytes())
                return cls(
                    CocoReport(**head['report']),
                    head['images'],
                    head['categories'],
                    *(file[k] for k in ('first', 'starts', 'stops', 'labels')),
                )
        # A file cut short fails in many ways; all mean that there is none.
        except Exception:
            return None


def find_index_file(path: Path, masks: bool) -> Path:
    """Name the file in the cache for an annotation file as it is now."""
    stat = path.stat()
    key = (VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, masks)
    name = hashlib.sha256(os.fsencode(repr(key))).hexdigest()[:16]
    return cache_dir() / 'coco_index' / f'{name}.npz'


class Slices:
    """Reads parts of a file, in whatever process it finds itself.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._opened: tuple[int, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return dict(path=self.path, _opened=None)

    def __del__(self) -> None:
        if self._opened and self._opened[0] == os.getpid():
            os.close(self._opened[1])

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` to ``stop``."""
        if self._opened is None or self._opened[0] != os.getpid():
            flags = os.O_RDONLY | getattr(os, 'O_BINARY', 0)
            self._opened = os.getpid(), os.open(self.path, flags)
        file = self._opened[1]
        if hasattr(os, 'pread'):
            return os.pread(file, stop - start, start)
        os.lseek(file, start, os.SEEK_SET)  # of Windows
        return os.read(file, stop - start)
