"""Overlaps of detections and ground truths, and their matching.

Pairs of all frames lie in flat arrays, so that no step loops over frames.
"""

from dataclasses import dataclass

import numpy as np
import torch
from mmcv.ops import box_iou_rotated

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.structures import boxes_to_bev

_EPS = 1e-12


@dataclass
class Pairs:
    """Overlapping pairs, one array of (P,) a field.

    Attributes:
        truth: Index of the ground truth.
        detection: Index of the detection, in the same frame.
        overlap: Their overlap, above 0.
    """

    truth: np.ndarray
    detection: np.ndarray
    overlap: np.ndarray

    def __getitem__(self, index: np.ndarray) -> 'Pairs':
        return Pairs(
            self.truth[index], self.detection[index], self.overlap[index]
        )

    def order(self, cost: np.ndarray) -> np.ndarray:
        """Sort by ground truth, then cost (P,), then detection."""
        return np.lexsort((self.detection, cost, self.truth))


def find_pairs(
    truths: KittiObjects,
    truth_frames: np.ndarray,
    detections: KittiObjects,
    detection_frames: np.ndarray,
) -> dict[str, Pairs]:
    """Find the pairs that overlap in the image, from above and in space.

    Args:
        truths: Labeled objects of all frames, frame by frame.
        truth_frames: Number of the frame of each, ascending.
        detections: Detected objects of all frames, frame by frame.
        detection_frames: Number of the frame of each, ascending.

    Returns:
        Under '2d', 'bev' and '3d' the pairs with their IoU; under 'share'
        the part of the detection's 2D box that lies in the other box.
    """
    truth, detection = _same_frame(truth_frames, detection_frames)
    iou, share = _overlap_2d(
        truths.bboxes[truth], detections.bboxes[detection]
    )
    pairs = {
        '2d': _positive(truth, detection, iou),
        'share': _positive(truth, detection, share),
    }
    boxes, others = truths.boxes_3d[truth], detections.boxes_3d[detection]
    reach = np.hypot(boxes[:, 3], boxes[:, 5]) + np.hypot(
        others[:, 3], others[:, 5]
    )
    gap = np.hypot(boxes[:, 0] - others[:, 0], boxes[:, 2] - others[:, 2])
    near = gap <= reach / 2
    truth, detection = truth[near], detection[near]
    bev, space = _overlap_3d(boxes[near], others[near])
    pairs['bev'] = _positive(truth, detection, bev)
    pairs['3d'] = _positive(truth, detection, space)
    return pairs


def match(pairs: Pairs, scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Give each ground truth the first detection that is still free.

    Ground truths choose in their order within a frame; every score level is
    a matching of its own, in which only detections that reach it take part.

    Args:
        pairs: Sorted by ground truth, and for each from best to worst.
        scores: Scores of all detections.
        levels: (L,) score levels.

    Returns:
        (P, L), whether the pair is matched at the level.
    """
    taken = np.zeros((len(pairs.truth), len(levels)), dtype=bool)
    if not taken.size:
        return taken
    free = np.ones((len(scores), len(levels)), dtype=bool)
    starts = np.flatnonzero(np.diff(pairs.truth, prepend=-1))
    turn = _turns(pairs, starts)
    eligible = scores[pairs.detection][:, None] >= levels
    # Ground truths whose turn it is at the same time have no detection in
    # common: they are of different frames or of different groups.
    for number in range(turn.max() + 1):
        rows = np.flatnonzero(turn == number)
        open_ = free[pairs.detection[rows]] & eligible[rows]
        heads = np.flatnonzero(np.diff(pairs.truth[rows], prepend=-1))
        place = np.arange(len(rows))[:, None]
        best = np.minimum.reduceat(
            np.where(open_, place, len(rows)), heads, axis=0
        )
        lengths = np.diff(heads, append=len(rows))
        chosen = open_ & (place == np.repeat(best, lengths, axis=0))
        taken[rows] = chosen
        which, level = np.nonzero(chosen)
        free[pairs.detection[rows[which]], level] = False
    return taken


def _turns(pairs: Pairs, starts: np.ndarray) -> np.ndarray:
    """Find the turn (P,) of each pair's ground truth.

    A ground truth waits for those before it that want one of its detections.
    """
    stops = np.append(starts[1:], len(pairs.truth))
    next_turn: dict[int, int] = {}
    turns = np.zeros(len(starts), dtype=np.int64)
    for index, (start, stop) in enumerate(zip(starts, stops)):
        wanted = pairs.detection[start:stop].tolist()
        turns[index] = max(next_turn.get(d, 0) for d in wanted)
        next_turn.update(dict.fromkeys(wanted, turns[index] + 1))
    return np.repeat(turns, stops - starts)


def _same_frame(
    frames: np.ndarray, other_frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pair all indices with the same number; the second is sorted."""
    first = np.searchsorted(other_frames, frames, side='left')
    last = np.searchsorted(other_frames, frames, side='right')
    counts = last - first
    truth = np.repeat(np.arange(len(frames)), counts)
    offset = np.arange(counts.sum()) - np.repeat(
        counts.cumsum() - counts, counts
    )
    return truth, np.repeat(first, counts) + offset


def _positive(
    truth: np.ndarray, detection: np.ndarray, overlap: np.ndarray
) -> Pairs:
    return Pairs(truth, detection, overlap)[overlap > 0]


def _overlap_2d(
    boxes: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute IoU (P,) of 2D boxes, and the share in the others."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, 2:], others[:, 2:])
    common = (high - low).clip(min=0).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    other_area = (others[:, 2:] - others[:, :2]).prod(1)
    union = np.maximum(area + other_area - common, _EPS)
    return common / union, common / np.maximum(other_area, _EPS)


def _overlap_3d(
    boxes: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute IoU (P,) of 3D boxes seen from above, and in space."""
    # The operator computes in float32: near the origin it keeps millimeters
    # apart that it would lose at 80 m.
    origin = boxes[:, :3].copy()
    origin[:, 1] = 0
    rectangles = []
    for group in (boxes, others):
        moved = torch.from_numpy(group.copy())
        moved[:, :3] -= torch.from_numpy(origin)
        rectangles.append(boxes_to_bev(moved).float())
    bev = box_iou_rotated(*rectangles, aligned=True).double().numpy()
    area = (boxes[:, 3] * boxes[:, 5]).clip(min=0)
    other_area = (others[:, 3] * others[:, 5]).clip(min=0)
    common_area = bev / (1 + bev) * (area + other_area)
    bottom = np.minimum(boxes[:, 1], others[:, 1])
    top = np.maximum(boxes[:, 1] - boxes[:, 4], others[:, 1] - others[:, 4])
    common = common_area * (bottom - top).clip(min=0)
    volume, other_volume = area * boxes[:, 4], other_area * others[:, 4]
    union = np.maximum(volume + other_volume - common, _EPS)
    return bev, common / union
