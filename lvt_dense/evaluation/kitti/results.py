"""Folders of result files: written for the test server, read for scoring."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from lvt_dense.datasets.kitti.labels import (
    KittiObjects,
    PathLike,
    read_frame_ids,
    read_labels,
    read_results,
)
from lvt_dense.errors import UserError

from .average_precision import CLASSES, DIFFICULTIES, METRICS, Scores


def format_results(objects: KittiObjects) -> str:
    """The text of a result file: 16 fields a line, none for no objects.

    Truncation and occlusion are -1: the server ignores them.
    """
    lines = []
    for i in range(len(objects)):
        x, y, z, length, height, width, yaw = objects.boxes_3d[i]
        numbers = [objects.alphas[i], *objects.bboxes[i]]
        numbers += [height, width, length, x, y, z, yaw]
        text = ' '.join(f'{number:.4f}' for number in numbers)
        score = objects.scores[i]
        lines.append(f'{objects.types[i]} -1 -1 {text} {score:.6f}\n')
    return ''.join(lines)


def write_results(
    folder: PathLike, frames: Mapping[str, KittiObjects]
) -> None:
    """Writes one file for each frame, empty where nothing was detected.

    Args:
        folder: created if it is not there. Files of the same frames are
            replaced; files of other frames stay, with a warning.
        frames: the detections under the identifier of each frame.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, objects in frames.items():
        (folder / f'{name}.txt').write_text(format_results(objects))
    others = {path.stem for path in folder.glob('*.txt')} - set(frames)
    if others:
        print_log(
            f'{folder} also holds results of {len(others)} other frames, '
            f'such as {min(others)}.txt',
            logger='current',
            level=logging.WARNING,
        )


def read_folders(
    results: PathLike,
    labels: PathLike,
    ids_file: PathLike | None = None,
    missing_as_empty: bool = False,
) -> tuple[list[KittiObjects], list[KittiObjects]]:
    """Reads labels and results of the same frames.

    Args:
        results: folder of result files.
        labels: folder of label files.
        ids_file: list of the frames to score; by default all with labels.
        missing_as_empty: take a frame without result file as one without
            detections. By default it is an error, since leaving it out
            would raise the recall.

    Returns:
        The labels and the detections of each frame, in the same order.

    Raises:
        UserError: a folder, file or frame is missing, or a line malformed.
    """
    results, labels = Path(results), Path(labels)
    labelled, detected = _frames_in(labels), _frames_in(results)
    if ids_file is None:
        names = sorted(labelled)
        unknown = sorted(detected - labelled)
        if unknown:
            raise UserError(
                f'{results / unknown[0]}.txt: no label file of this name in '
                f'{labels}; name the frames to score with --ids FILE'
            )
    else:
        lines = read_frame_ids(ids_file)
        names = list(lines)
        for name in names:
            if name not in labelled:
                raise UserError(
                    f'{ids_file}:{lines[name]}: frame {name} has no label '
                    f'file in {labels}'
                )
    missing = [name for name in names if name not in detected]
    if missing and not missing_as_empty:
        raise UserError(
            f'{results}: lacks {len(missing)} of {len(names)} frames, such '
            f'as {missing[0]}.txt; a frame without detections needs an empty '
            'file. Name the frames to score with --ids FILE, or count '
            'missing ones as empty with --missing-as-empty'
        )
    empty = KittiObjects.from_rows([], [])
    return (
        [read_labels(labels / f'{name}.txt') for name in names],
        [
            read_results(results / f'{name}.txt')
            if name in detected
            else empty
            for name in names
        ],
    )


def format_table(scores: Scores, metrics: Sequence[str] = METRICS) -> str:
    """Figures as lines of text, two decimals, '-' where there is none."""
    head = f'{"":16}' + ''.join(
        f'{"AP|" + kind + " easy":>13}{"moderate":>10}{"hard":>10}'
        for kind in ('R40', 'R11')
    )
    lines = [head]
    for name in CLASSES:
        for metric in metrics:
            entry = scores[f'{name.lower()}_{metric}']
            lines.append(
                f'{name + " " + metric.upper():16}'
                + ''.join(
                    f'{_cell(entry[level][kind]):>{width}}'
                    for kind in ('R40', 'R11')
                    for level, width in zip(DIFFICULTIES, (13, 10, 10))
                )
            )
    return '\n'.join(lines)


def _cell(value: float | None) -> str:
    return '-' if value is None or np.isnan(value) else f'{value:.2f}'


def _frames_in(folder: Path) -> set:
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    names = {path.stem for path in folder.glob('*.txt')}
    if not names:
        hint = ''
        if any((folder / 'data').glob('*.txt')):
            hint = f'; did you mean {folder / "data"}?'
        raise UserError(f'{folder}: holds no .txt files{hint}')
    return names
