"""Adapt a config to one's own data."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from lvt_dense.datasets.own.formats import LabeledData, Tree, read_tree
from lvt_dense.runtime import Tiling
from lvt_dense.utils.cache import locked
from lvt_dense.utils.dist import is_first_process
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.reading import no_collection
from lvt_dense.utils.text import compose, shorten

from .classes import ignore_void, make_colors, select_classes
from .cleaning import clean
from .crowding import ObjectCounts, raise_limits
from .detection import adapt_detection, check_masks, write_split_files
from .mono3d import (
    adapt_mono3d,
    check_frames,
    default_classes,
    write_frames,
)
from .pictures import choose_samples, draw_samples
from .prepared import Prepared, find_prepared_file
from .semantic import (
    BACKGROUND,
    adapt_semantic,
    draw_label_maps,
    prepare_masks,
    write_lists,
)
from .splits import complete_splits
from .summary import bands_of, find_warnings, make_table, settings_of
from .task import task_of
from .tiles import cut_into_tiles


def use_data(
    cfg: Config,
    data: str | Path,
    classes: Sequence[str] | None = None,
    report_dir: str | Path | None = None,
    to_train: bool = True,
    whole: bool = False,
    tiling: Tiling | None = None,
) -> Config:
    """Make a recipe train and test on a data set of one's own.

    The layout is recognized: COCO JSON, YOLO, Pascal VOC XML, LabelMe JSON,
    folders of semantic masks, KITTI folders. Classes, colors, the number of
    classes of every head, paths and evaluators follow the data; a missing
    ``val`` is cut from ``train``. What was found is logged.

    The work is done once for files that do not change, and by one process:
    others wait for it.

    Args:
        cfg: Config of a detector, a segmenter or a monocular 3D detector;
            changed in place.
        data: Folder of the data set; nothing is written into it.
        classes: Part of the classes to learn, in this order; None takes all.
        report_dir: Folder for the summary and ten pictures with labels; None
            writes none.
        to_train: Whether there must be something to train on; else ``val``
            or ``test`` is enough.
        whole: Test on all images of data without splits. False keeps to
            those that a training holds out.
        tiling: Cut the images into tiles; None takes them whole.

    Returns:
        ``cfg``.

    Raises:
        UserError: The data cannot be used; the message names the file.
    """
    task = task_of(cfg)
    if tiling is not None and task == 'mono3d':
        raise UserError('--tiles: 3D boxes need the whole view of the camera')
    tree = Tree(data, masks=task != 'detection')
    prepared = _prepare_once(cfg, tree, task, classes, to_train, whole, tiling)
    adapt = dict(semantic=adapt_semantic, mono3d=adapt_mono3d).get(task)
    if adapt is None:
        adapt_detection(cfg, prepared, task)
    else:
        adapt(cfg, prepared)
    limits = [] if task == 'semantic' else raise_limits(cfg, prepared.most)
    if not is_first_process():
        return cfg
    for line in (f'own data\n{prepared.text}', *limits):
        print_log(line, logger='current')
    if report_dir is not None:
        _report(cfg, prepared, task, Path(report_dir))
    return cfg


def _report(cfg: Config, data: Prepared, task: str, folder: Path) -> None:
    try:
        write_atomically(folder / 'summary.txt', data.text + '\n')
    except OSError as error:
        raise UserError(
            f'{folder} cannot be made: {error.strerror}; name another folder '
            'with --work-dir'
        ) from None
    pictures = draw_samples(cfg, data, task, folder)
    print_log(
        f'{len(pictures)} pictures with labels are in {folder}',
        logger='current',
    )


def _prepare_once(
    cfg: Config,
    tree: Tree,
    task: str,
    classes: Sequence[str] | None,
    to_train: bool,
    whole: bool,
    tiling: Tiling | None,
) -> Prepared:
    """Read a data set and write what a config needs, or find it written."""
    place = find_prepared_file(
        str(tree.root.resolve()),
        tree.fingerprint,
        task,
        classes,
        to_train,
        whole,
        settings_of(cfg),
        tiling,
    )
    with locked(place, f'reads --data {tree.root}'):
        prepared = Prepared.load(place)
        if prepared is None:
            with no_collection():
                labels = _load(cfg, tree, task, classes, to_train, whole)
                if tiling is not None:
                    cut_into_tiles(labels, tiling)
                prepared = _prepare(cfg, labels, task)
            prepared.save(place)
    return prepared


def _prepare(cfg: Config, labels: LabeledData, task: str) -> Prepared:
    """Write what a config needs into the cache."""
    writers = dict(semantic=write_lists, mono3d=write_frames)
    text = describe_data(cfg, labels)
    return Prepared(
        labels.root.resolve(),
        labels.classes,
        labels.palette,
        writers.get(task, write_split_files)(labels),
        text,
        sum((s.pixels for s in labels.splits['train']), Counter()),
        choose_samples(labels.splits['train']),
        ObjectCounts.from_samples(
            [s for x in labels.splits.values() for s in x]
        ),
    )


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
    tree = Tree(data, masks=task != 'detection')
    with no_collection():
        return _load(cfg, tree, task, classes)


def _load(
    cfg: Config,
    tree: Tree,
    task: str,
    classes: Sequence[str] | None,
    to_train: bool = True,
    whole: bool = False,
) -> LabeledData:
    labels = read_tree(tree, task)
    classes = classes and [compose(name.strip()) for name in classes]
    masks = any(s.mask for split in labels.splits.values() for s in split)
    if task == 'mono3d' and not classes:
        classes = default_classes(cfg, labels)
    if not masks and task != 'mono3d':
        ignore_void(labels, classes)
    if classes and not masks:
        select_classes(labels, classes)
    clean(labels, bands_of(cfg))
    if masks:
        prepare_masks(labels, classes)
    elif task == 'semantic':
        draw_label_maps(labels)
    elif task == 'instance':
        check_masks(labels)
    complete_splits(labels, to_train, whole)
    if task == 'mono3d':
        check_frames(cfg, labels)
    if labels.colors is None:
        first = 0 if labels.classes[0] == BACKGROUND else 1
        labels.colors = make_colors(len(labels.classes), first)
    _check_objects(labels)
    return labels


def _check_objects(labels: LabeledData) -> None:
    for split in ('train', 'val'):
        samples = labels.splits[split]
        if not any(
            set(s.pixels) - {-1} or not all(o.is_crowd for o in s.objects)
            for s in samples
        ):
            ignored = sum(len(s.objects) for s in samples)
            but = f', but {ignored} that do not count' if ignored else ''
            raise UserError(
                f'--data {labels.root}: no object of the classes '
                f'{shorten(labels.classes, 10)} is in the {split} split '
                f'({len(samples)} images{but}); there is nothing to train on '
                'or to evaluate'
            )


def describe_data(cfg: Config, labels: LabeledData) -> str:
    """Return the table of a data set, notes and warnings as text."""
    lines = [make_table(labels)]
    lines += [f'note: {note}' for note in labels.notes]
    lines += [f'warning: {w}' for w in find_warnings(cfg, labels)]
    return '\n'.join(lines)
