"""Look through a folder in KITTI's layout, with any classes of objects.

Everything that a config has to be told about such data comes from one call::

    folder = scan_kitti_folder('data/mine')
    folder.classes        # ('Truck', 'Van'), DontCare left out
    folder.splits         # dict(train=(...), val=(...)), from ImageSets
    folder.counts         # dict(train=dict(Truck=120, Van=31), val=...)
    folder.mean_sizes     # dict(Truck=(l, h, w), Van=(l, h, w)) in meters

    cfg.train_dataloader.dataset.update(
        folder.dataset_settings('train', classes))
    cfg.val_dataloader.dataset.update(folder.dataset_settings('val', classes))
    cfg.model.bbox_head.update(folder.head_settings(head_class, classes))

``KittiMetric`` scores the classes of the data set, with an IoU of 0.7 for
vehicles and 0.5 for the rest unless its ``overlaps`` say otherwise, and
``KITTI/3D_AP40_moderate_strict`` exists whatever the classes are, so that
``save_best`` needs no change.

Where there are no ``ImageSets``, :attr:`KittiFolder.splits` has the split
``'all'`` alone. A split of one's own is a text file with one identifier a
line, anywhere: give its absolute path to ``dataset_settings``.
"""

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES

from .frames import list_folder
from .labels import (
    DONT_CARE,
    KittiObjects,
    match_frame_ids,
    read_frame_ids,
    read_labels,
)

Size = tuple[float, float, float]

# Where the folders of the labeled frames may lie under the root.
_PARENTS = ('training', '', 'train')
_FOLDERS = dict(img='image_2', calib='calib', label='label_2')
_LISTS = 'ImageSets'


@dataclass(frozen=True)
class KittiFolder:
    """What a folder in KITTI's layout holds.

    Attributes:
        root: The data root.
        data_prefix: Folders ``img``, ``calib`` and ``label``, relative to
            the root.
        frames: Identifiers of all frames with image, calibration and label.
        splits: Identifiers by the name of their list in ``ImageSets``, of
            lists with labeled frames alone; ``all`` without such lists.
        counts: Number of objects by split and type.
        mean_sizes: Mean length, height and width in meters by type, over
            all frames.
    """

    root: Path
    data_prefix: dict[str, str]
    frames: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    counts: dict[str, dict[str, int]]
    mean_sizes: dict[str, Size]

    @property
    def classes(self) -> tuple[str, ...]:
        """Types of the objects that have a size, in alphabetical order."""
        return tuple(sorted(self.mean_sizes))

    def find_classes(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the types of these names, as the label files spell them.

        Raises:
            UserError: There is no object of a name.
        """
        known = {name.lower(): name for name in self.mean_sizes}
        absent = [name for name in names if name.lower() not in known]
        if absent:
            raise UserError(
                f'{self.root}: no label has the class {", ".join(absent)}; '
                f'there are {", ".join(self.classes)}'
            )
        return tuple(known[name.lower()] for name in names)

    def dataset_settings(
        self, split: str, classes: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Return the settings of a :class:`KittiMonoDataset`.

        Args:
            split: One of :attr:`splits`, or the path of a list of frames.
            classes: Names in the order of the labels; all by default.
        """
        if split == 'all' and split in self.splits:
            ann_file = ''
        elif split in self.splits:
            ann_file = f'{_LISTS}/{split}.txt'
        else:
            ann_file = str(Path(split).absolute())
        classes = self.classes if classes is None else classes
        return dict(
            type='lvt_dense.KittiMonoDataset',
            data_root=str(self.root),
            ann_file=ann_file,
            data_prefix=dict(self.data_prefix),
            metainfo=dict(classes=self.find_classes(classes)),
        )

    def head_settings(
        self, head: type, classes: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Return the settings of a monocular 3D head that follow the data.

        Args:
            head: Class of the head: ``base_dims`` are for those that take
                them.
            classes: Names in the order of the labels; all by default.
        """
        classes = self.classes if classes is None else classes
        classes = self.find_classes(classes)
        settings: dict[str, Any] = dict(num_classes=len(classes))
        if 'base_dims' in inspect.signature(head).parameters:
            settings['base_dims'] = [
                list(self.mean_sizes[name]) for name in classes
            ]
        return settings


def is_kitti_folder(root: str | Path) -> bool:
    """Tell whether a folder has KITTI's layout: label_2 beside image_2."""
    return _find_prefix(Path(root)) is not None


def scan_kitti_folder(root: str | Path) -> KittiFolder:
    """Read all labels of a folder in KITTI's layout.

    The folders ``image_2``, ``calib`` and ``label_2`` lie in ``training``,
    as in KITTI, in ``train`` or in the root itself.

    Args:
        root: The data root.

    Raises:
        UserError: The layout is another one, a label is malformed, or no
            label has an object.
    """
    root = Path(root)
    prefix = _find_prefix(root)
    if prefix is None:
        raise UserError(
            f'{root}: no folder in the layout of KITTI; it needs '
            f'{", ".join(_FOLDERS.values())} in training, in train or in the '
            'root itself'
        )
    listings = {
        key: list_folder(
            root / folder, IMAGE_SUFFIXES if key == 'img' else ('.txt',)
        )
        for key, folder in prefix.items()
    }
    frames = sorted(set.intersection(*map(set, listings.values())))
    if not frames:
        raise UserError(
            f'{root}: no frame has an image, a calibration and a label; '
            + ', '.join(
                f'{prefix[key]} holds '
                + (f'{len(ls)} files such as {min(ls)}' if ls else 'nothing')
                for key, ls in listings.items()
            )
        )
    labels = {
        name: read_labels(root / prefix['label'] / listings['label'][name][0])
        for name in frames
    }
    sizes = _mean_sizes(list(labels.values()))
    if not sizes:
        raise UserError(
            f'{root / prefix["label"]}: no object but {DONT_CARE} in '
            f'{len(frames)} label files'
        )
    splits = _read_splits(root, frames)
    counts = {
        split: _count([labels[name] for name in names])
        for split, names in splits.items()
    }
    return KittiFolder(root, prefix, tuple(frames), splits, counts, sizes)


def _find_prefix(root: Path) -> dict[str, str] | None:
    for parent in _PARENTS:
        prefix = {
            key: f'{parent}/{name}'.lstrip('/')
            for key, name in _FOLDERS.items()
        }
        if all((root / folder).is_dir() for folder in prefix.values()):
            return prefix
    return None


def _read_splits(
    root: Path, frames: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    known = set(frames)
    splits = {}
    for path in sorted((root / _LISTS).glob('*.txt')):
        if path.name.startswith('.') or not path.read_bytes().strip():
            continue
        ids = match_frame_ids(read_frame_ids(path), known, path)
        if known.issuperset(ids):
            splits[path.stem] = tuple(ids)
    return splits or {'all': tuple(frames)}


def _real(labels: Sequence[KittiObjects]) -> KittiObjects:
    objects = KittiObjects.concatenate(labels)
    return objects[~objects.is_type(DONT_CARE)]


def _count(labels: Sequence[KittiObjects]) -> dict[str, int]:
    return dict(Counter(_real(labels).types.tolist()))


def _mean_sizes(labels: Sequence[KittiObjects]) -> dict[str, Size]:
    objects = _real(labels)
    # A label of a 2D box alone has -1 for its size.
    objects = objects[np.all(objects.boxes_3d[:, 3:6] > 0, axis=1)]
    means = {}
    for name in np.unique(objects.types).tolist():
        sizes = objects.boxes_3d[objects.types == name, 3:6]
        length, height, width = sizes.mean(0).round(4).tolist()
        means[name] = (length, height, width)
    return means
