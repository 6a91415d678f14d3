"""Match detections with ground truths by COCO's protocol.

The pairs of all images lie in flat arrays, so that no step loops over images
and classes; the figures equal those of pycocotools.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from lvt_dense.utils.progress import tqdm

from .records import Images, Objects

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# Areas in pixels, as in COCO.
SIZES = dict(
    all=(0.0, 1e10),
    small=(0.0, 32.0**2),
    medium=(32.0**2, 96.0**2),
    large=(96.0**2, 1e10),
)
# Below this IoU, TIDE calls a detection one of the background.
BACKGROUND = 0.1
MAX_DETECTIONS = 100  # an image and class


@dataclass
class Pairs:
    """Overlapping pairs of an image, of equal or of other classes.

    Attributes:
        detection: (P,) index of the detection.
        truth: (P,) index of the truth.
        overlap: (P,) IoU; with an ignored truth, the part of the detection
            that lies in it.
    """

    detection: np.ndarray
    truth: np.ndarray
    overlap: np.ndarray

    def __getitem__(self, index: np.ndarray) -> 'Pairs':
        return Pairs(
            self.detection[index], self.truth[index], self.overlap[index]
        )


@dataclass
class Matches:
    """What each detection was matched with.

    Attributes:
        truth: (T, A, D) index of the truth at each IoU threshold and range of
            sizes, -1 for none.
        left_out: (T, A, D) detections that are neither right nor wrong.
        truths_left_out: (A, G) truths that do not count.
    """

    truth: np.ndarray
    left_out: np.ndarray
    truths_left_out: np.ndarray

    @property
    def is_right(self) -> np.ndarray:
        """(T, A, D) detections that are right."""
        return (self.truth >= 0) & ~self.left_out


@dataclass
class Outcomes:
    """What became of truths and detections at one IoU threshold.

    Attributes:
        truths: Labeled objects.
        detections: Detections.
        pairs: All pairs that overlap by :data:`BACKGROUND` or more.
        matched: (D,) index of the truth of each detection, -1 for none.
        left_out: (D,) detections that are neither right nor wrong.
        thresholds: (C,) IoU of a match, by class.
    """

    truths: Objects
    detections: Objects
    pairs: Pairs
    matched: np.ndarray
    left_out: np.ndarray
    thresholds: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number C of classes."""
        return len(self.thresholds)

    @property
    def is_right(self) -> np.ndarray:
        """(D,) detections that are right."""
        return (self.matched >= 0) & ~self.left_out

    @property
    def is_wrong(self) -> np.ndarray:
        """(D,) detections that are wrong."""
        return (self.matched < 0) & ~self.left_out

    def is_found(self, score_thr: float = -np.inf) -> np.ndarray:
        """(G,) truths that a detection of a score this high matches."""
        found = np.zeros(len(self.truths), dtype=bool)
        shown = self.detections.scores >= score_thr
        found[self.matched[self.is_right & shown]] = True
        return found

    def is_missed(self, score_thr: float) -> np.ndarray:
        """(G,) truths that count and that no such detection matches."""
        return ~self.truths.ignored & ~self.is_found(score_thr)


def keep_best(detections: Objects, most: int = MAX_DETECTIONS) -> Objects:
    """Keep the detections of highest score of each image and class."""
    order = np.lexsort(
        (-detections.scores, detections.labels, detections.images)
    )
    rank = _rank(_groups(detections)[order])
    kept = np.zeros(len(detections), dtype=bool)
    kept[order[rank < most]] = True
    return detections if kept.all() else detections[kept]


def find_overlaps(
    images: Images,
    truths: Objects,
    detections: Objects,
    by_mask: bool = False,
    quiet: bool = True,
) -> Pairs:
    """Find all pairs that overlap by at least :data:`BACKGROUND`.

    Args:
        images: The images.
        truths: Their labeled objects.
        detections: Their detections.
        by_mask: Take the IoU of masks instead of boxes.
        quiet: Show no progress bar.
    """
    starts = np.arange(len(images) + 1)
    first_t = np.searchsorted(truths.images, starts)
    first_d = np.searchsorted(detections.images, starts)
    busy = np.flatnonzero((np.diff(first_t) > 0) & (np.diff(first_d) > 0))
    parts = []
    for i in tqdm(busy, 'Overlaps', disable=quiet or None):
        t, d = slice(*first_t[i : i + 2]), slice(*first_d[i : i + 2])
        size = images.sizes[i].tolist()
        overlap = np.asarray(
            coco_mask.iou(
                _shapes(detections, d, by_mask, size),
                _shapes(truths, t, by_mask, size),
                truths.ignored[t].astype(np.uint8).tolist(),
            )
        )
        rows, columns = np.nonzero(overlap >= BACKGROUND)
        parts.append(
            (rows + d.start, columns + t.start, overlap[rows, columns])
        )
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Pairs(none, none, np.zeros(0))
    return Pairs(*(np.concatenate(column) for column in zip(*parts)))


def _shapes(
    objects: Objects, part: slice, by_mask: bool, size: list[int]
) -> np.ndarray | list[dict]:
    if not by_mask:
        return np.ascontiguousarray(objects.boxes[part])
    return [dict(size=size, counts=c) for c in objects.masks[part]]


def match_objects(
    truths: Objects,
    detections: Objects,
    pairs: Pairs,
    thresholds: np.ndarray = IOU_THRESHOLDS,
    ranges: Sequence[tuple[float, float]] = tuple(SIZES.values()),
    sizes: tuple[np.ndarray, np.ndarray] | None = None,
) -> Matches:
    """Match detections with truths of their class.

    Detections choose in the order of their scores the truth of the largest
    IoU that is still free; one that counts is preferred to one that is left
    out (``COCOeval.evaluateImg`` of pycocotools).

    Args:
        truths: Labeled objects.
        detections: Detections.
        pairs: All overlapping pairs of them.
        thresholds: (T,) IoU that a match must reach, or (T, C) by class.
        ranges: (A, 2) least and largest size of the truths that count.
        sizes: Sizes of truths and detections; by default their areas.
    """
    bounds = np.asarray(ranges, dtype=np.float64)
    truth_sizes, own_sizes = sizes or (truths.areas, detections.areas)
    truths_out = _outside(truth_sizes, bounds) | truths.ignored
    needed = np.minimum(np.asarray(thresholds, dtype=np.float64), 1 - 1e-10)
    shape = (len(needed), len(bounds), len(detections))
    matched = np.full(shape, -1, dtype=np.int32)
    rows = _same_class(truths, detections, pairs, needed)
    free = np.ones((len(truths), *shape[:2]), dtype=bool)
    for turn in rows:
        _take_turn(turn, truths, detections, needed, truths_out, free, matched)
    chosen_out = np.zeros(shape, dtype=bool)
    for a in range(len(bounds)):
        found = matched[:, a] >= 0
        chosen_out[:, a][found] = truths_out[a][matched[:, a][found]]
    unmatched_out = (matched < 0) & _outside(own_sizes, bounds)[None]
    return Matches(matched, chosen_out | unmatched_out, truths_out)


def _same_class(
    truths: Objects, detections: Objects, pairs: Pairs, needed: np.ndarray
) -> list[Pairs]:
    """Split the pairs of one class by the turn of their detection.

    Within a turn no two detections share an image and class, and the pairs
    of a detection are sorted by IoU.
    """
    same = truths.labels[pairs.truth] == detections.labels[pairs.detection]
    least = np.min(needed)
    pairs = pairs[same & (pairs.overlap >= least)]
    order = np.lexsort((pairs.truth, pairs.overlap, pairs.detection))
    pairs = pairs[order]
    if not len(order):
        return []
    owners = np.unique(pairs.detection)
    groups = _groups(detections)[owners]
    by_score = np.lexsort((-detections.scores[owners], groups))
    turn = np.empty(len(owners), dtype=np.int64)
    turn[by_score] = _rank(groups[by_score])
    turns = turn[np.searchsorted(owners, pairs.detection)]
    return [
        pairs[np.flatnonzero(turns == number)]
        for number in range(turns.max() + 1)
    ]


def _take_turn(
    pairs: Pairs,
    truths: Objects,
    detections: Objects,
    needed: np.ndarray,
    truths_out: np.ndarray,
    free: np.ndarray,
    matched: np.ndarray,
) -> None:
    """Let one detection of each image and class choose."""
    labels = detections.labels[pairs.detection]
    bar = needed[:, labels].T if needed.ndim == 2 else needed[None]
    reach = pairs.overlap[:, None] >= bar
    usable = free[pairs.truth] | truths.ignored[pairs.truth][:, None, None]
    usable = usable & reach[:, :, None]
    counts = ~truths_out[:, pairs.truth].T[:, None, :]
    place = np.arange(1, len(pairs.truth) + 1)[:, None, None]
    rank = np.where(usable, place + counts * (len(pairs.truth) + 1), 0)
    heads = np.flatnonzero(np.diff(pairs.detection, prepend=-1))
    best = np.maximum.reduceat(rank, heads, axis=0)
    who, t, a = np.nonzero(best)
    row = best[who, t, a] - 1
    row = np.where(row >= len(pairs.truth), row - len(pairs.truth) - 1, row)
    chosen = pairs.truth[row]
    matched[t, a, pairs.detection[heads[who]]] = chosen
    free[chosen, t, a] = False


def _outside(sizes: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(A, N) what lies outside each range."""
    return (sizes < bounds[:, :1]) | (sizes > bounds[:, 1:])


def _groups(objects: Objects) -> np.ndarray:
    most = int(objects.labels.max(initial=0)) + 1
    return objects.images * most + objects.labels


def _rank(groups: np.ndarray) -> np.ndarray:
    """Number the members of each run of equal values from 0."""
    heads = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(heads, append=len(groups))
    return np.arange(len(groups)) - np.repeat(heads, lengths)
