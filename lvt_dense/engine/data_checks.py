"""Check the inputs of a run, and explain errors of a failed one."""

import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, METRICS

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import dataset_cfgs, evaluators
from lvt_dense.datasets.coco_check import check_coco, load_index
from lvt_dense.datasets.coco_index import CocoReport
from lvt_dense.datasets.image_files import read_headers
from lvt_dense.datasets.kitti.dataset import KittiMonoDataset
from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.datasets.label_maps import IGNORED, read_mask
from lvt_dense.datasets.own.adapt import find_dicts
from lvt_dense.datasets.own.crowding import ObjectCounts, find_low_limits
from lvt_dense.datasets.own.heads import find_class_counts
from lvt_dense.datasets.own.mono3d import left_out_lines
from lvt_dense.datasets.own.task import scope_of
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.dist import is_first_process
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .mask_orientation import check_mask_orientation

_MASKS_LOOKED_AT = 50
_REMEDY = 'or let --data DIR set all that depends on the data'


def check_data(cfg: Config, splits: Iterable[str]) -> None:
    """Check the data of the splits before anything is built.

    Folders and annotation files exist, the model counts as many classes as
    the data have, annotation files are sound, and there is something to
    learn or to measure.

    Args:
        cfg: Config.
        splits: Some of ``train``, ``val`` and ``test``.

    Raises:
        UserError: Names the first that is wrong.
    """
    splits = list(splits)
    for split in splits:
        for dataset in dataset_cfgs(cfg, split):
            _check_paths(dataset, split)
    import_stack()
    for split in splits:
        _check_metrics(cfg, split)
        for dataset in dataset_cfgs(cfg, split):
            classes = classes_of(dataset, scope_of(cfg))
            check_counts(cfg, split, classes)
            if is_first_process():
                _check_content(cfg, split, dataset, classes)


def _check_metrics(cfg: Config, split: str) -> None:
    """Refuse metrics of masks for a model that predicts boxes alone."""
    masked = [
        part
        for place in ('model', 'train_dataloader')
        for part in find_dicts(cfg.get(place) or {})
        if part.get('with_mask') or part.get('mask_head')
    ]
    if masked or not cfg.get('train_dataloader'):
        return
    for metric in evaluators(cfg, split):
        kinds = metric.get('metric') or ()
        names = [kinds] if isinstance(kinds, str) else list(kinds)
        if 'segm' in names and _is_coco_metric(cfg, metric):
            raise UserError(
                f'{split}_evaluator.metric is {shorten(names)}, but the model '
                'predicts boxes without masks, for which there is bbox'
            )


def _is_coco_metric(cfg: Config, metric: dict) -> bool:
    from mmdet.evaluation import CocoMetric

    kind = lookup_class(METRICS, metric.get('type'), scope_of(cfg))
    return inspect.isclass(kind) and issubclass(kind, CocoMetric)


def _is_remote(dataset: dict) -> bool:
    return '://' in str(dataset.get('data_root') or '') or '://' in str(
        dataset.get('ann_file') or ''
    )


def _check_paths(dataset: dict, split: str) -> None:
    if _is_remote(dataset):
        return
    root = dataset.get('data_root')
    if root and not Path(root).is_dir():
        raise UserError(
            f'the {split} data root {root} is not there; put the data set '
            'there, name its folder with --data-root, or give data of your '
            'own with --data'
        )
    for path in _named_paths(dataset):
        if not path.exists():
            raise UserError(
                f'{path}, which the {split} data set '
                f'{dataset.get("type")} needs, is not there; is {root} a '
                'complete copy of the data set? For data of your own, in '
                'other folders and files, there is --data'
            )


def _named_paths(dataset: dict) -> Iterator[Path]:
    root = Path(dataset.get('data_root') or '')
    if dataset.get('ann_file'):
        yield root / dataset['ann_file']
    for prefix in (dataset.get('data_prefix') or {}).values():
        # mmdet and mmseg both allow file name prefixes besides folders
        if isinstance(prefix, str) and prefix.endswith('/'):
            yield root / prefix


def classes_of(dataset: dict, scope: str) -> tuple[str, ...] | None:
    """Return the classes of a data set, or None if it does not say.

    Args:
        dataset: Config of the data set itself, without wrappers.
        scope: Default scope of the config.

    Raises:
        UserError: They are a single string.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if isinstance(classes, str):
        if Path(classes).is_file():
            lines = Path(classes).read_text(encoding='utf-8-sig').split('\n')
            return tuple(line.strip() for line in lines if line.strip())
        raise UserError(
            f'metainfo.classes={classes!r} is one string, which counts as '
            f"{len(classes)} classes: write classes=('{classes}',)"
        )
    if classes is None:
        cls = lookup_class(DATASETS, dataset.get('type'), scope)
        classes = getattr(cls, 'METAINFO', {}).get('classes')
    return tuple(classes) if classes else None


def check_counts(
    cfg: Config, split: str, classes: Sequence[str] | None
) -> None:
    """Check that every head counts the classes of the data.

    Args:
        cfg: Config.
        split: Where the classes are from.
        classes: Their names; None is not checked.

    Raises:
        UserError: Has both numbers, and where they stand.
    """
    if classes is None:
        return
    there = f'the {split} data have {len(classes)} ({shorten(classes, 4)})'
    for path, _, number in find_class_counts(cfg.get('model'), scope_of(cfg)):
        if number != len(classes):
            raise UserError(
                f'{path}.num_classes is {number}, but {there}: set '
                f'--cfg-options {path}.num_classes={len(classes)}, {_REMEDY}'
            )
    for step in find_dicts(cfg.get(f'{split}_dataloader')):
        number = step.get('num_classes', len(classes))
        if 'type' in step and number != len(classes):
            raise UserError(
                f'num_classes of {step["type"]} in the pipeline of '
                f'{split}_dataloader is {number}, but {there}: they must '
                f'agree; set it, {_REMEDY}'
            )


def _check_content(
    cfg: Config, split: str, dataset: dict, classes: Sequence[str] | None
) -> None:
    cls = lookup_class(DATASETS, dataset.get('type'), scope_of(cfg))
    if not inspect.isclass(cls) or _is_remote(dataset):
        return
    if _is_coco(cls) and dataset.get('ann_file'):
        _check_coco(cfg, split, dataset, classes)
    elif _is_segmentation(cls):
        _check_segmentation(cfg, split, dataset, cls)
    elif issubclass(cls, KittiMonoDataset):
        _check_frames(cfg, split, dataset, cls)


def _is_coco(cls: object) -> bool:
    try:
        from mmdet.datasets import CocoDataset, CocoPanopticDataset
    except ImportError:
        return False
    return (
        inspect.isclass(cls)
        and issubclass(cls, CocoDataset)
        and not issubclass(cls, CocoPanopticDataset)
    )


def _is_segmentation(cls: type) -> bool:
    try:
        from mmseg.datasets import BaseSegDataset
    except ImportError:
        return False
    return issubclass(cls, BaseSegDataset)


def _check_coco(
    cfg: Config, split: str, dataset: dict, classes: Sequence[str] | None
) -> None:
    path = next(_named_paths(dataset))
    masks = any(
        step.get('with_mask')
        for step in find_dicts(cfg.get('train_dataloader'))
    )
    report = check_coco(path, masks)
    fault = report.fault or report.mask_fault
    if fault:
        raise UserError(f'annotation file {path}: {fault}')
    _check_categories(path, report, classes)
    _check_amount(cfg, split, dataset, path, report, classes)
    for number, what in (
        (report.flat, 'boxes have no area and'),
        (report.small, 'boxes are smaller than a pixel and'),
        (report.ignored, 'annotations are marked with ignore and'),
    ):
        if number:
            _warn(
                f'{path}: {number} of {report.num_annotations} {what} are '
                'left out'
            )
    if report.repeated:
        _warn(
            f'{path}: {report.repeated} images are listed again under another '
            'id, so that objects of one entry are background in the other; '
            '--data DIR puts them together'
        )
    for evaluator in evaluators(cfg, split):
        own = evaluator.get('ann_file')
        if not own or '://' in str(own):
            continue
        if not Path(own).is_file():
            raise UserError(
                f'{split}_evaluator.ann_file {own} is not there; the {split} '
                f'data set reads {path}'
            )
        if Path(own).resolve() != path.resolve():
            fault = coco_fault(Path(own))
            if fault:
                raise UserError(f'annotation file {own}: {fault}')
            _warn(
                f'{split}_evaluator reads {own}, but the {split} data set '
                f'{path}: metrics are wrong unless they hold the same images'
            )
    if split != 'train':
        _warn_of_limits(cfg, split, path, classes)
        _check_coco_images(dataset, path)


def _warn_of_limits(
    cfg: Config, split: str, path: Path, classes: Sequence[str] | None
) -> None:
    most = ObjectCounts.from_index(load_index(path), classes)
    faults = find_low_limits(cfg, split, most)
    if faults:
        _warn(
            f'{path}: an image has up to {most.of_image} objects, and '
            f'{most.of_class} of one class, more than {", ".join(faults)} '
            'allow, so even perfect predictions would not reach perfect '
            'metrics: '
            f'raise these numbers, {_REMEDY}'
        )


def _check_coco_images(dataset: dict, path: Path) -> None:
    """See that the images to measure on are there and whole."""
    prefix = (dataset.get('data_prefix') or {}).get('img') or ''
    start = os.path.join(dataset.get('data_root') or '', prefix)
    names = [name for _, name, _, _ in load_index(path).images]
    check_images(path, [os.path.join(start, name) for name in names])


def check_images(source: Path, paths: Sequence[str]) -> None:
    """See that images are there and can be read, before a long training.

    Args:
        source: Where they are listed.
        paths: Images.

    Raises:
        UserError: Names the first ones that cannot be used.
    """
    headers = read_headers(source, [Path(path) for path in paths])
    bad = [f'{p} ({h.error})' for p, h in headers.items() if h.error]
    if bad:
        raise UserError(
            f'{source}: {len(bad)} of {len(headers)} images cannot be used: '
            f'{shorten(bad, 3)}; replace or remove them, as a missing image '
            'would falsify the metrics'
        )


def _check_frames(cfg: Config, split: str, dataset: dict, cls: type) -> None:
    """Count the objects of KITTI that a recipe leaves out."""
    if split != 'train':
        return
    settings = {
        k: v for k, v in dataset.items() if k not in ('type', '_scope_')
    }
    built = cls(**dict(settings, pipeline=[], lazy_init=True, test_mode=True))
    frames = [info['eval_labels'] for info in built.load_data_list()]
    objects = KittiObjects.concatenate([f for f in frames if f is not None])
    objects = objects[objects.is_type(*built.metainfo['classes'])]
    for line in left_out_lines(cfg, objects):
        print_log(f'train: {line}', logger='current')


def _check_categories(
    path: Path, report: CocoReport, classes: Sequence[str] | None
) -> None:
    """Check that labels count as the names of the classes say."""
    if classes is None:
        return
    missing = [name for name in classes if name not in report.categories]
    if len(missing) == len(classes):
        raise UserError(
            f'{path}: none of its categories ({shorten(report.categories)}) '
            f'is one of the classes ({shorten(classes)}): set '
            f'metainfo.classes, {_REMEDY}'
        )
    if missing:
        raise UserError(
            f'{path}: there is no category {shorten(missing)}, so that the '
            'labels of other classes would be shifted; the categories are '
            f'{shorten(report.categories, 20)}'
        )
    order = [name for name in report.categories if name in classes]
    if order != list(classes):
        raise UserError(
            f'{path}: its categories are in the order {shorten(order, 8)}, '
            f'the classes in the order {shorten(classes, 8)}; MMDetection '
            'counts labels in the order of the file: give the classes in '
            'that order'
        )


def _check_amount(
    cfg: Config,
    split: str,
    dataset: dict,
    path: Path,
    report: CocoReport,
    classes: Sequence[str] | None,
) -> None:
    """Check that there is something to learn, or to measure."""
    if not report.num_images:
        raise UserError(f'{path}: the list of images is empty')
    if report.num_annotations < 0:
        only_written = all(
            e.get('format_only') for e in evaluators(cfg, split)
        )
        if split == 'train' or not only_written:
            raise UserError(
                f'{path}: has no annotations, as of a test set, to '
                + (
                    'learn from'
                    if split == 'train'
                    else f'measure with: set {split}_evaluator.format_only='
                    f'True and {split}_evaluator.outfile_prefix=FILE to '
                    'write predictions alone'
                )
            )
        return
    objects = sum(report.used.get(c, 0) for c in classes or report.used)
    if not objects:
        text = (
            f'{path}: no object of the classes '
            f'{shorten(classes or report.categories)} in '
            f'{report.num_annotations} annotations (crowds and boxes without '
            f'area left out); there are {shorten(report.used) or "none"}'
        )
        if split == 'train':
            raise UserError(text)
        _warn(text)
    least = (dataset.get('filter_cfg') or {}).get('min_size', 0)
    if split == 'train' and report.largest_side < least:
        raise UserError(
            f'{path}: train_dataloader.dataset.filter_cfg.min_size={least} '
            'leaves out all images, whose shorter sides are '
            f'{report.largest_side} pixels at most'
        )


def _check_segmentation(
    cfg: Config, split: str, dataset: dict, cls: type
) -> None:
    """List the images of a split, and see that they and masks are there."""
    from mmseg.datasets import BaseSegDataset

    settings = {
        k: v for k, v in dataset.items() if k not in ('type', '_scope_')
    }
    try:
        built = cls(**dict(settings, pipeline=[], lazy_init=True))
        infos = built.load_data_list()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f'the {split} data set {dataset["type"]} cannot be listed: {error}'
        ) from error
    if not infos:
        suffix = getattr(built, 'img_suffix', None)
        folder = built.data_prefix.get('img_path')
        raise UserError(
            f'the {split} data set has no images: looked for files that end '
            f'on {suffix!r} in {folder}, '
            + _what_is_in(folder, built.ann_file)
        )
    if not isinstance(built, BaseSegDataset):
        return
    for number, info in enumerate(infos, 1):
        for key, what in (('img_path', 'image'), ('seg_map_path', 'mask')):
            path = info.get(key)
            if path and '://' not in path and not os.path.exists(path):
                raise UserError(_missing(split, built, number, what, path))
    paths = [info['img_path'] for info in infos]
    if any('://' in path for path in paths):
        return
    place = Path(built.ann_file or built.data_prefix.get('img_path') or '')
    if split == 'train':
        _check_binary_masks(built, infos)
    else:
        check_images(place, paths)
    check_mask_orientation(cfg, split, place, infos)


def _check_binary_masks(built: Any, infos: Sequence[dict]) -> None:
    """Refuse masks that say 255 where they mean a class."""
    if len(built.metainfo.get('classes') or ()) < 2 or built.label_map:
        return
    step = max(len(infos) // _MASKS_LOOKED_AT, 1)
    paths = [info.get('seg_map_path') for info in infos[::step]]
    values: set[int] = set()
    for path in paths:
        if not path or '://' in path:
            return
        try:
            values |= set(np.unique(read_mask(path)).tolist())
        except UserError:  # named when it is loaded
            continue
        if values - {0, IGNORED}:
            return
    if values == {0, IGNORED}:
        raise UserError(
            f'the training masks hold 0 and {IGNORED} alone, as {paths[0]} '
            f'({len(paths)} looked at), and {IGNORED} marks pixels that do '
            'not count: nothing but the first class would be learned; write '
            'the second class as 1, or let --data DIR read the masks'
        )


def _missing(split: str, built: Any, number: int, what: str, path: str) -> str:
    place = built.ann_file
    if not place or not Path(place).is_file():
        return f'the {split} {what} {path} is not there' + (
            '; each image needs a mask whose name ends on '
            f'{built.seg_map_suffix!r} in place of {built.img_suffix!r}'
            if what == 'mask'
            else ''
        )
    lines = Path(place).read_text(encoding='utf-8').splitlines()
    line = lines[number - 1] if number <= len(lines) else ''
    hint = 'a blank line is no image: remove it'
    if line.strip():
        suffix = built.img_suffix if what == 'image' else built.seg_map_suffix
        hint = f'a line is a name without its suffix, here {suffix!r}'
    return (
        f'{place}:{number}: {line.strip()!r} stands for the {what} {path}, '
        f'which is not there; {hint}'
    )


def _what_is_in(folder: str | None, ann_file: str | None) -> str:
    if ann_file and Path(ann_file).is_file():
        return f'listed in {ann_file}, which is empty'
    if not folder or not Path(folder).is_dir():
        return 'which is not there'
    names = sorted(os.listdir(folder))
    return f'which holds {shorten(names, 3) or "nothing"}'


def _warn(text: str) -> None:
    print_log(text, logger='current', level=30)


def read_coco_once(cfg: Config) -> None:
    """Let data sets of COCO start from the index that the checks have built.

    Args:
        cfg: Config; MMDetection's ``CocoDataset`` is replaced by ours, which
            returns the same.
    """
    for split in ('train', 'val', 'test'):
        for dataset in dataset_cfgs(cfg, split):
            kind = lookup_class(DATASETS, dataset.get('type'), scope_of(cfg))
            if _is_coco(kind) and kind.__module__ == 'mmdet.datasets.coco':
                dataset['type'] = 'lvt_dense.CocoDataset'


def annotation_fault(cfg: Config) -> str | None:
    """Find what is wrong with the annotation files of a config.

    Returns:
        One line, or None.
    """
    for split in ('train', 'val', 'test'):
        for dataset in dataset_cfgs(cfg, split):
            cls = lookup_class(DATASETS, dataset.get('type'), scope_of(cfg))
            if dataset.get('ann_file') and _is_coco(cls):
                path = next(_named_paths(dataset))
                fault = coco_fault(path) if path.is_file() else None
                if fault:
                    return f'annotation file {path}: {fault}'
    return None


def coco_fault(path: Path) -> str | None:
    """Say what is wrong with a COCO annotation file, or None."""
    return check_coco(path).fault
