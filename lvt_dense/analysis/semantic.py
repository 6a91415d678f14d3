"""All figures of semantic segmentation, from label maps."""

from dataclasses import dataclass

import cv2
import numpy as np

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.progress import tqdm

from .records import Record
from .thresholds import Calibration, calibrate_table

IGNORED = 255
# Boundaries are this wide, relative to the diagonal of the image.
BOUNDARY = 0.02
_SIZES = (('small', 0, 32**2), ('medium', 32**2, 96**2), ('large', 96**2, 0))


@dataclass
class SemanticFigures:
    """Figures of a segmenter.

    Attributes:
        classes: Names of the classes.
        overall: Figures by their standard names, in [0, 1].
        per_class: The same for each class; NaN where it does not occur.
        confusion: (C, C) pixels, truth in rows, prediction in columns.
        image_iou: (I,) mean IoU of the classes that occur in each image; NaN
            without any.
        intersections: (I, C) pixels by image, for the bootstrap.
        unions: (I, C) pixels by image.
        calibration: Of the probability of the predicted class.
    """

    classes: list[str]
    overall: dict[str, float]
    per_class: list[dict[str, float]]
    confusion: np.ndarray
    image_iou: np.ndarray
    intersections: np.ndarray
    unions: np.ndarray
    calibration: Calibration | None


@dataclass
class _Counts:
    """Sums over images."""

    confusion: np.ndarray
    intersections: np.ndarray
    unions: np.ndarray
    boundaries: np.ndarray  # (2, C) intersection and union
    by_size: np.ndarray  # (3 sizes, 2, C) right and all pixels


def decode_map(content: bytes) -> np.ndarray:
    """Decode the PNG of a label map (H, W)."""
    found = cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED
    )
    if found is None:
        raise UserError('a label map of the predictions is damaged')
    return found


def encode_map(labels: np.ndarray) -> bytes:
    """Encode a label map (H, W) with labels below 65,536 as PNG."""
    kind = np.uint8 if labels.max(initial=0) < 256 else np.uint16
    done, content = cv2.imencode('.png', labels.astype(kind))
    assert done
    return content.tobytes()


def analyze_semantic(record: Record, quiet: bool = True) -> SemanticFigures:
    """Compute all figures of label maps.

    - ``mIoU``, ``mAcc`` and ``aAcc`` as in MMSegmentation;
    - ``mIoU by image``: the mean over images of the IoU of the classes that
      occur there, in truth or prediction (Wang et al., NeurIPS 2023);
    - ``boundary IoU``: the IoU of the pixels within 2 % of the diagonal from
      a mask's boundary (Cheng et al., CVPR 2021);
    - ``Acc small``, ``medium`` and ``large``: the share of right pixels in
      connected parts of the truth below 32 x 32, below 96 x 96 and above.

    Args:
        record: Label maps.
        quiet: Show no progress bar.
    """
    count, images = len(record.classes), len(record.maps)
    sums = _Counts(
        np.zeros((count, count), dtype=np.int64),
        np.zeros((images, count), dtype=np.int64),
        np.zeros((images, count), dtype=np.int64),
        np.zeros((2, count)),
        np.zeros((len(_SIZES), 2, count)),
    )
    for i in tqdm(range(images), 'Label maps', disable=quiet or None):
        truth = decode_map(record.true_maps[i]).astype(np.int64)
        found = decode_map(record.maps[i]).astype(np.int64)
        _add_image(sums, i, truth, found, count)
    return _summarize(record, sums)


def _add_image(
    sums: _Counts, i: int, truth: np.ndarray, found: np.ndarray, count: int
) -> None:
    valid = truth < count
    pairs = truth[valid] * count + np.minimum(found[valid], count - 1)
    table = np.bincount(pairs, minlength=count**2).reshape(count, count)
    sums.confusion += table
    right = np.diag(table)
    sums.intersections[i] = right
    sums.unions[i] = table.sum(0) + table.sum(1) - right
    truth = np.where(valid, truth, IGNORED)
    found = np.where(valid, found, IGNORED)
    width = max(1, round(BOUNDARY * float(np.linalg.norm(truth.shape))))
    for c in np.flatnonzero(sums.unions[i]):
        true_mask, own_mask = truth == c, found == c
        edges = [boundary(m, width) for m in (true_mask, own_mask)]
        sums.boundaries[0, c] += (edges[0] & edges[1]).sum()
        sums.boundaries[1, c] += (edges[0] | edges[1]).sum()
        _add_sizes(sums.by_size, c, true_mask, own_mask)


def boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """Return the pixels of a mask (H, W) that are near its boundary.

    The edge of the image is a boundary, too, as in the official program.

    Args:
        mask: Boolean mask.
        width: How near, in pixels, by the larger of both differences.
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    return mask & (distance <= width)


def _add_sizes(
    sums: np.ndarray, c: int, truth: np.ndarray, found: np.ndarray
) -> None:
    _, parts, stats, _ = cv2.connectedComponentsWithStats(
        truth.astype(np.uint8), connectivity=8
    )
    areas = stats[:, cv2.CC_STAT_AREA]
    hits = np.bincount(parts[found], minlength=len(areas))
    for s, (_, low, high) in enumerate(_SIZES):
        own = (areas >= low) & ((areas < high) | (high == 0))
        own[0] = False  # background
        sums[s, 0, c] += hits[own].sum()
        sums[s, 1, c] += areas[own].sum()


def _summarize(record: Record, sums: _Counts) -> SemanticFigures:
    right = np.diag(sums.confusion).astype(np.float64)
    true, found = sums.confusion.sum(1), sums.confusion.sum(0)
    table = {
        'IoU': _ratio(right, true + found - right),
        'Acc': _ratio(right, true),
        'Precision': _ratio(right, found),
        'F1': _ratio(2 * right, true + found),
        'boundary IoU': _ratio(*sums.boundaries),
    }
    for s, (name, *_) in enumerate(_SIZES):
        table[f'Acc {name}'] = _ratio(*sums.by_size[s])
    image_iou = _mean_rows(_ratio(sums.intersections, sums.unions))
    overall = dict(
        mIoU=_mean(table['IoU']),
        mAcc=_mean(table['Acc']),
        aAcc=float(right.sum() / max(true.sum(), 1)),
    )
    overall['mIoU by image'] = _mean(image_iou)
    overall['boundary IoU'] = _mean(table['boundary IoU'])
    for name, *_ in _SIZES:
        overall[f'Acc {name}'] = _mean(table[f'Acc {name}'])
    return SemanticFigures(
        classes=list(record.classes),
        overall=overall,
        per_class=[
            {name: float(values[c]) for name, values in table.items()}
            for c in range(len(record.classes))
        ],
        confusion=sums.confusion,
        image_iou=image_iou,
        intersections=sums.intersections,
        unions=sums.unions,
        calibration=calibrate_table(record.confidence)
        if len(record.confidence)
        else None,
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(
        part,
        whole,
        out=np.full(np.shape(part), np.nan, dtype=np.float64),
        where=np.asarray(whole) > 0,
    )


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')


def _mean_rows(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(1), known.sum(1))
