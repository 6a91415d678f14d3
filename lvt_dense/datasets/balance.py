"""Draw images with rare classes more often.

Source: Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance
Segmentation", CVPR 2019, Section 5: the repeat factor of a class that is in
the share f of the images is max(1, sqrt(t / f)), that of an image is the
largest of its classes.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import ClassBalancedDataset

from lvt_dense.registry import DATASETS
from lvt_dense.utils.cache import read_records, write_records
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.threads import map_in_threads

from .samplers import SizedIndex

GROWTH = 2.0  # of an epoch, at most
_STEP = 0.95  # between thresholds that are tried
_VERSION = 1

Presence = Sequence[frozenset[int]]


def repeat_factors(presence: Presence, oversample_thr: float) -> list[float]:
    """Compute how often each image is to be drawn in an epoch.

    Args:
        presence: Labels in each image.
        oversample_thr: Classes in a smaller share of the images are
            repeated.

    Returns:
        A factor of at least 1 for each image.
    """
    counts = Counter(label for labels in presence for label in labels)
    of_class = {
        label: max(1.0, math.sqrt(oversample_thr * len(presence) / count))
        for label, count in counts.items()
    }
    return [max((of_class[c] for c in labels), default=1.0)
            for labels in presence]  # fmt: skip


def choose_threshold(presence: Presence, growth: float = GROWTH) -> float:
    """Choose the threshold of the repeat factors.

    Args:
        presence: Labels in each image.
        growth: Longest epoch, over the number of images.

    Returns:
        The share of the images that have the most frequent class, or less if
        the epoch would grow too long; 0 where there are no labels.
    """
    counts = Counter(label for labels in presence for label in labels)
    if not counts:
        return 0.0
    threshold = max(counts.values()) / len(presence)
    while sum(repeat_factors(presence, threshold)) > growth * len(presence):
        threshold *= _STEP
    return threshold


def repeat_indices(factors: Sequence[float]) -> list[int]:
    """Repeat indices so that their counts add up to the factors.

    With a factor of 1.5, every other image is repeated; MMEngine would round
    all factors up and repeat every image.

    Args:
        factors: At least 1 each.

    Returns:
        Indices in ascending order; each is there at least once.
    """
    whole = np.floor(factors)
    # What is left over from one image counts for the next one.
    rest = np.cumsum(np.asarray(factors) - whole)
    more = np.diff(np.floor(rest + 0.5), prepend=0.0)
    return np.repeat(
        np.arange(len(whole)), (whole + more).astype(int)
    ).tolist()


@DATASETS.register_module()
class BalancedDataset(ClassBalancedDataset):
    """MMEngine's class-balanced data set, for all tasks and kinds of data.

    Unlike there, objects to ignore do not count, factors are not rounded up,
    label maps of semantic segmentation are read for the classes in them, and
    the data set may be a concatenation.

    Args:
        dataset: Data set, or its config.
        oversample_thr: See :func:`repeat_factors`.
        lazy_init: Whether it is read later.
    """

    dataset: Any
    _fully_initialized: bool

    def full_init(self) -> None:
        """Read the data set, and compute what is repeated."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        self.presence = find_presence(self.dataset)
        factors = repeat_factors(self.presence, self.oversample_thr)
        self.repeat_indices = repeat_indices(factors)
        self._fully_initialized = True

    @property
    def pipeline(self) -> Any:
        """Pipeline of the data set, which hooks exchange."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        self.dataset.pipeline = pipeline

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the labels in an image."""
        return sorted(self.presence[self._get_ori_dataset_idx(idx)])

    def _get_ori_dataset_idx(self, idx: int) -> int:
        index = super()._get_ori_dataset_idx(idx)
        if isinstance(idx, SizedIndex):
            return SizedIndex(index, idx.height, idx.width)
        return index


def find_presence(dataset: Any) -> list[frozenset[int]]:
    """Find the labels in each image of a data set.

    Args:
        dataset: Data set, read.

    Raises:
        UserError: The data set does not list them.
    """
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    number = len(dataset.metainfo.get('classes') or ())
    found: list[frozenset[int]] = []
    maps: dict[int, dict] = {}
    for i, info in enumerate(infos):
        if 'instances' in info:
            found.append(frozenset(_labels_of(info['instances'])))
        elif info.get('seg_map_path'):
            maps[i] = info
            found.append(frozenset())
        else:
            raise UserError(
                f'--balance: {type(dataset).__name__} does not list the '
                'classes in an image: its annotations have neither '
                'instances nor seg_map_path'
            )
    if maps:
        labels = _read_maps(list(maps.values()), number)
        for i, each in zip(maps, labels):
            found[i] = each
    return found


def _labels_of(instances: Sequence[dict]) -> Iterator[int]:
    for instance in instances:
        if not instance.get('ignore_flag'):
            yield int(instance['bbox_label'])


def _read_maps(infos: Sequence[dict], number: int) -> list[frozenset[int]]:
    """Read the labels in label maps; those that are known are not read."""
    from .transforms.seg_loading import LoadSegAnnotations

    load = LoadSegAnnotations(number)
    by_folder: dict[Path, list[int]] = defaultdict(list)
    for i, info in enumerate(infos):
        by_folder[Path(info['seg_map_path']).parent].append(i)
    found: list[frozenset[int]] = [frozenset()] * len(infos)

    def read(info: dict) -> list[int]:
        values = np.unique(load.transform(dict(info))['gt_seg_map'])
        return [v for v in values.tolist() if v < number]

    for folder, rows in by_folder.items():
        known = read_records('presence', folder, _VERSION)
        keys = {i: _key_of(infos[i], number) for i in rows}
        new = [i for i in rows if known.get(keys[i]) is None]
        labels = map_in_threads(read, [infos[i] for i in new], 'classes')
        known.update({keys[i]: each for i, each in zip(new, labels)})
        if new:
            write_records('presence', folder, _VERSION, known)
        for i in rows:
            found[i] = frozenset(known[keys[i]])
    return found


def _key_of(info: dict, number: int) -> str:
    path = Path(info['seg_map_path'])
    stat = path.stat()
    rule = info.get('label_map'), info.get('reduce_zero_label'), number
    return repr((path.name, stat.st_size, stat.st_mtime_ns, rule))
