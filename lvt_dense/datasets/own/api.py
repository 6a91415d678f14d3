"""Adapt a config to one's own data."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from lvt_dense.datasets.own.formats import LabeledData, read_data
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.text import shorten

from .classes import make_colors, select_classes
from .cleaning import clean
from .detection import adapt_detection, check_masks
from .mono3d import adapt_mono3d, default_classes
from .pictures import draw_samples
from .semantic import (
    BACKGROUND,
    adapt_semantic,
    draw_masks,
    prepare_masks,
)
from .splits import complete_splits
from .summary import find_warnings, make_table
from .task import task_of


def use_data(
    cfg: Config,
    data: str | Path,
    classes: Sequence[str] | None = None,
    report_dir: str | Path | None = None,
) -> Config:
    """Make a recipe train and test on a data set of one's own.

    The layout is recognized: COCO JSON, YOLO, Pascal VOC XML, LabelMe JSON,
    folders of semantic masks, KITTI folders. Classes, colors, the number of
    classes of every head, paths and evaluators follow the data; a missing
    ``val`` is cut from ``train``. What was found is logged.

    Args:
        cfg: Config of a detector, a segmenter or a monocular 3D detector;
            changed in place.
        data: Folder of the data set; nothing is written into it.
        classes: Part of the classes to learn, in this order; None takes all.
        report_dir: Folder for the summary and ten pictures with labels; None
            writes none.

    Returns:
        ``cfg``.

    Raises:
        UserError: The data cannot be used; the message names the file.
    """
    task = task_of(cfg)
    labels = load_labels(cfg, data, task, classes)
    if task == 'semantic':
        adapt_semantic(cfg, labels)
    elif task == 'mono3d':
        adapt_mono3d(cfg, labels)
    else:
        adapt_detection(cfg, labels, task)
    text = describe(cfg, labels)
    print_log(f'own data\n{text}', logger='current')
    if report_dir is not None:
        folder = Path(report_dir)
        write_atomically(folder / 'summary.txt', text + '\n')
        pictures = draw_samples(cfg, labels, task, folder)
        print_log(
            f'{len(pictures)} pictures with labels are in {folder}',
            logger='current',
        )
    return cfg


def load_labels(
    cfg: Config,
    data: str | Path,
    task: str,
    classes: Sequence[str] | None = None,
) -> LabeledData:
    """Read a data set, clean it and complete its splits.

    Args:
        cfg: Config that will use it.
        data: Folder of the data set.
        task: As :func:`lvt_dense.datasets.own.task.task_of` names it.
        classes: Part of the classes; None takes all.

    Raises:
        UserError: The data cannot be used.
    """
    labels = read_data(data, task)
    masks = any(s.mask for split in labels.splits.values() for s in split)
    if task == 'mono3d' and not classes:
        classes = default_classes(cfg, labels)
    if classes and not masks:
        select_classes(labels, classes)
    clean(labels)
    if masks:
        prepare_masks(labels, classes)
    elif task == 'semantic':
        draw_masks(labels)
    elif task == 'instance':
        check_masks(labels)
    complete_splits(labels)
    if labels.colors is None:
        first = 0 if labels.classes[0] == BACKGROUND else 1
        labels.colors = make_colors(len(labels.classes), first)
    _check_objects(labels)
    return labels


def _check_objects(labels: LabeledData) -> None:
    for split in ('train', 'val'):
        samples = labels.splits[split]
        if not any(s.objects or set(s.pixels) - {-1} for s in samples):
            raise UserError(
                f'--data {labels.root}: no object of the classes '
                f'{shorten(labels.classes, 10)} is in the {split} split '
                f'({len(samples)} images); there is nothing to learn or to '
                'measure'
            )


def describe(cfg: Config, labels: LabeledData) -> str:
    """Return the table of a data set, notes and warnings as text."""
    lines = [make_table(labels)]
    lines += [f'note: {note}' for note in labels.notes]
    lines += [f'warning: {w}' for w in find_warnings(cfg, labels)]
    return '\n'.join(lines)
