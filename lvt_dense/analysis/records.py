"""Ground truths and predictions of a data set, and their file format."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

VERSION = 1
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile)
SUFFIX = '.npz'


@dataclass
class Images:
    """The images of a data set.

    Attributes:
        ids: What the data set calls them.
        paths: Their files; empty texts where they are unknown.
        sizes: (I, 2) heights and widths in pixels.
    """

    ids: list[str]
    paths: list[str]
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class Objects:
    """Objects of all images, image by image, one array a field.

    Attributes:
        images: (N,) index of the image, ascending.
        labels: (N,) index of the class.
        boxes: (N, 4) x, y, width and height in pixels.
        scores: (N,) in [0, 1]; 1 for truths.
        areas: (N,) in pixels: of the mask, else of the box.
        ignored: (N,) truths of which no detection is right or wrong, as
            COCO's crowds.
        masks: Compressed run-length codes of COCO; none for boxes.
        boxes_3d: (N, 7) as in ``lvt_dense.structures``, in monocular 3D.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray
    masks: list[bytes] = field(default_factory=list)
    boxes_3d: np.ndarray = field(default_factory=lambda: np.zeros((0, 7)))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: np.ndarray) -> 'Objects':
        """Select objects by a mask or by indices."""
        rows = np.arange(len(self))[index]
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        # boxes in space may be missing
        arrays = {
            name: values[rows] if len(values) else values
            for name, values in arrays.items()
        }
        masks = [self.masks[i] for i in rows] if self.masks else []
        return Objects(masks=masks, **arrays)

    @classmethod
    def build(
        cls,
        images: Sequence[int] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        boxes: Sequence[Sequence[float]] | np.ndarray,
        scores: Sequence[float] | np.ndarray | None = None,
        areas: Sequence[float] | np.ndarray | None = None,
        ignored: Sequence[bool] | np.ndarray | None = None,
        masks: Sequence[bytes] = (),
        boxes_3d: np.ndarray | None = None,
    ) -> 'Objects':
        """Build objects of plain lists, sorted by image.

        Args:
            images: Index of the image of each.
            labels: Index of the class of each.
            boxes: (N, 4) x, y, width and height.
            scores: By default 1.
            areas: By default those of the boxes.
            ignored: By default none.
            masks: Run-length codes, if there are any.
            boxes_3d: (N, 7) boxes in space, if there are any.
        """
        count = len(images)
        table = np.asarray(boxes, dtype=np.float64).reshape(count, 4)
        order = np.argsort(np.asarray(images, dtype=np.int64), kind='stable')
        found = cls(
            images=np.asarray(images, dtype=np.int64),
            labels=np.asarray(labels, dtype=np.int64),
            boxes=table,
            scores=np.ones(count)
            if scores is None
            else np.asarray(scores, dtype=np.float64),
            areas=table[:, 2] * table[:, 3]
            if areas is None
            else np.asarray(areas, dtype=np.float64),
            ignored=np.zeros(count, dtype=bool)
            if ignored is None
            else np.asarray(ignored, dtype=bool),
            masks=list(masks),
            boxes_3d=np.zeros((0, 7))
            if boxes_3d is None
            else np.asarray(boxes_3d, dtype=np.float64).reshape(-1, 7),
        )
        return found[order]


_ARRAYS = (
    'images',
    'labels',
    'boxes',
    'scores',
    'areas',
    'ignored',
    'boxes_3d',
)


@dataclass
class Record:
    """What a test run saw and predicted.

    Attributes:
        task: ``detection``, ``instance``, ``semantic`` or ``mono3d``.
        classes: Names of the classes.
        palette: Their RGB colors; may be empty.
        images: The images.
        truths: Labeled objects; none in semantic segmentation.
        detections: Predicted objects; none in semantic segmentation.
        true_maps: PNG files of the true label maps, in semantic segmentation.
        maps: PNG files of the predicted label maps.
        confidence: (B, 3) pixels, right pixels and sum of probabilities in
            bins of the probability of the predicted class.
        extra: Arrays of the task: in monocular 3D ``cameras`` (I, 4, 4), and
            ``truth_rows`` and ``detection_rows`` as in KITTI's files.
        about: Texts: config, checkpoint, metrics.
    """

    task: str
    classes: list[str]
    palette: list[list[int]]
    images: Images
    truths: Objects
    detections: Objects
    true_maps: list[bytes] = field(default_factory=list)
    maps: list[bytes] = field(default_factory=list)
    confidence: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def mask_areas(codes: Sequence[dict]) -> np.ndarray:
    """Return the areas (N,) of run-length codes in pixels.

    One by one, as pycocotools fails on more than 255 with NumPy 2.
    """
    return np.array([coco_mask.area(code) for code in codes], np.float64)


def empty_objects() -> Objects:
    """Return no objects."""
    return Objects.build([], [], np.zeros((0, 4)))


def save_record(record: Record, path: str | Path) -> None:
    """Write a record as an ``.npz`` file without pickles.

    Raises:
        UserError: The file has another suffix.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise UserError(f'{path}: give a file that ends in {SUFFIX}')
    head = dict(
        version=VERSION,
        task=record.task,
        classes=record.classes,
        palette=record.palette,
        ids=record.images.ids,
        paths=record.images.paths,
        about=record.about,
    )
    arrays: dict[str, Any] = dict(
        head=_pack([json.dumps(head).encode()])[0],
        sizes=record.images.sizes,
        confidence=record.confidence,
    )
    for kind in ('truths', 'detections'):
        objects: Objects = getattr(record, kind)
        for name in _ARRAYS:
            arrays[f'{kind}.{name}'] = getattr(objects, name)
    for name, blobs in (
        ('truths.masks', record.truths.masks),
        ('detections.masks', record.detections.masks),
        ('true_maps', record.true_maps),
        ('maps', record.maps),
    ):
        arrays[name], arrays[f'{name}.ends'] = _pack(blobs)
    arrays.update({f'extra.{k}': v for k, v in record.extra.items()})
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomically(path, content.getvalue())


def load_record(path: str | Path) -> Record:
    """Read what :func:`save_record` wrote.

    Raises:
        UserError: The file is missing, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = json.loads(arrays['head'].tobytes())
    except FileNotFoundError:
        raise UserError(
            f'{path}: no such file; "lvt-dense test ... --out {path}" '
            'writes it'
        ) from None
    except (*_DAMAGE, KeyError, AttributeError) as error:
        raise UserError(
            f'{path}: no predictions of "lvt-dense test --out FILE{SUFFIX}" '
            f'({error})'
        ) from None
    if head['version'] != VERSION:
        raise UserError(
            f'{path}: written by another version of lvt_dense; run '
            '"lvt-dense test" again'
        )
    objects = {
        kind: Objects(
            masks=_unpack(arrays, f'{kind}.masks'),
            **{name: arrays[f'{kind}.{name}'] for name in _ARRAYS},
        )
        for kind in ('truths', 'detections')
    }
    return Record(
        task=head['task'],
        classes=head['classes'],
        palette=head['palette'],
        images=Images(head['ids'], head['paths'], arrays['sizes']),
        true_maps=_unpack(arrays, 'true_maps'),
        maps=_unpack(arrays, 'maps'),
        confidence=arrays['confidence'],
        extra={
            name.partition('.')[2]: value
            for name, value in arrays.items()
            if name.startswith('extra.')
        },
        about=head['about'],
        **objects,
    )


def _pack(blobs: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    data = np.frombuffer(b''.join(blobs), dtype=np.uint8)
    return data, np.cumsum([len(blob) for blob in blobs], dtype=np.int64)


def _unpack(arrays: dict[str, np.ndarray], name: str) -> list[bytes]:
    ends = arrays[f'{name}.ends'].tolist()
    data = arrays[name].tobytes()
    return [data[a:b] for a, b in zip([0, *ends], ends)]
