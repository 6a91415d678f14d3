"""Score folders of KITTI result files."""

import json
from collections.abc import Sequence
from pathlib import Path

from lvt_dense.compat.stack import import_stack
from lvt_dense.utils.files import write_atomically


def score_folders(
    results: str | Path,
    labels: str | Path,
    ids: str | Path | None = None,
    missing_as_empty: bool = False,
    overlaps: str = 'strict',
    out: Path | None = None,
    classes: Sequence[str] | None = None,
) -> str:
    """Score a folder of result files against a folder of labels.

    Args:
        results: Folder of 16-field result files.
        labels: Folder of label files.
        ids: List of the frames to score; by default all labels.
        missing_as_empty: Count a frame without result file as one without
            detections.
        overlaps: ``'strict'`` or ``'loose'`` IoU thresholds.
        out: JSON file to write all metrics to.
        classes: Types of the label files to score; by default KITTI's Car,
            Pedestrian and Cyclist.

    Returns:
        The metrics as a table.
    """
    import_stack()  # before any module of ours that imports mmdet
    from lvt_dense.datasets.kitti.results import read_folders
    from lvt_dense.evaluation.kitti.average_precision import (
        CLASSES,
        METRICS,
        evaluate_kitti,
        round_scores,
    )
    from lvt_dense.evaluation.kitti.metric import describe_limits
    from lvt_dense.evaluation.kitti.table import format_scores

    classes = classes or CLASSES
    truth, found = read_folders(results, labels, ids, missing_as_empty)
    scores = evaluate_kitti(truth, found, overlaps, classes)
    lines = [
        f'{len(truth)} frames, {overlaps} overlaps',
        format_scores(scores, METRICS, classes),
    ]
    if note := describe_limits(truth, classes):
        lines.append(note)
    if out:
        report = dict(
            frames=len(truth), overlaps=overlaps, ap=round_scores(scores)
        )
        write_atomically(out, json.dumps(report, indent=1) + '\n')
    return '\n'.join(lines)
