"""Folders of result files: written for the test server, read for scoring."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .labels import (
    KittiObjects,
    PathLike,
    format_objects,
    match_frame_ids,
    read_frame_ids,
    read_labels,
    read_results,
)


def format_results(objects: KittiObjects) -> str:
    """Format a result file: 16 fields a line, none for no objects.

    Truncation and occlusion are -1: the server ignores them.
    """
    unknown = np.full(len(objects), -1)
    objects = replace(objects, truncated=unknown, occluded=unknown)
    return format_objects(objects, digits=4, with_scores=True)


def write_results(
    folder: PathLike, frames: Mapping[str, KittiObjects]
) -> None:
    """Write one file for each frame, empty where nothing was detected.

    Args:
        folder: Created if it is not there. Files of the same frames are
            replaced; files of other frames stay, with a warning.
        frames: Detections under the identifier of each frame.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, objects in frames.items():
        path = folder / f'{name}.txt'
        write_atomically(path, format_results(objects), sync=False)
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
    """Read labels and results of the same frames.

    Args:
        results: Folder of result files.
        labels: Folder of label files.
        ids_file: List of the frames to score; by default all with labels.
        missing_as_empty: Take a frame without result file as one without
            detections. By default it is an error, since leaving it out
            would raise the recall.

    Returns:
        Labels and detections of each frame, in the same order.

    Raises:
        UserError: A folder, file or frame is missing, or a line malformed.
    """
    results, labels = Path(results), Path(labels)
    labeled, detected = _frames_in(labels), _frames_in(results)
    names = _frames_to_score(results, labels, ids_file, labeled, detected)
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


def _frames_to_score(
    results: Path,
    labels: Path,
    ids_file: PathLike | None,
    labeled: set[str],
    detected: set[str],
) -> list[str]:
    if ids_file is None:
        unknown = sorted(detected - labeled)
        if unknown:
            raise UserError(
                f'{results / unknown[0]}.txt: no label file of this name in '
                f'{labels}; name the frames to score with --ids FILE'
            )
        return sorted(labeled)
    lines = match_frame_ids(read_frame_ids(ids_file), labeled, ids_file)
    for name, number in lines.items():
        if name not in labeled:
            raise UserError(
                f'{ids_file}:{number}: frame {name} has no label file in '
                f'{labels}'
            )
    return list(lines)


def _frames_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    names = {
        path.stem
        for path in folder.glob('*.txt')
        if not path.name.startswith('.')
    }
    if not names:
        hint = ''
        if any((folder / 'data').glob('*.txt')):
            hint = f'; did you mean {folder / "data"}?'
        raise UserError(f'{folder}: holds no .txt files{hint}')
    return names
