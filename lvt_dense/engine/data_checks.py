"""Check the inputs of a run, and explain errors of a failed one."""

import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
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


@dataclass(frozen=True)
class DataSource:
    """A data set of a config, and what the checks read of it.

    Attributes:
        cfg: The config.
        split: ``train``, ``val`` or ``test``.
        settings: Config of the data set itself, without wrappers.
    """

    cfg: Config
    split: str
    settings: ConfigDict

    @cached_property
    def kind(self) -> Any:
        """Its class, or None if there is none."""
        scope = scope_of(self.cfg)
        return lookup_class(DATASETS, self.settings.get('type'), scope)

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Its classes, or None if it does not say.

        Raises:
            UserError: They are a single string that names no file.
        """
        classes = (self.settings.get('metainfo') or {}).get('classes')
        if isinstance(classes, str):
            return _read_classes(classes)
        if classes is None:
            classes = getattr(self.kind, 'METAINFO', {}).get('classes')
        return tuple(classes) if classes else None

    @property
    def is_remote(self) -> bool:
        """Whether it is read from a server."""
        places = (self.settings.get(key) for key in ('data_root', 'ann_file'))
        return any('://' in str(place) for place in places)

    @property
    def is_coco(self) -> bool:
        """Whether it reads an annotation file of COCO."""
        try:
            from mmdet.datasets import CocoDataset, CocoPanopticDataset
        except ImportError:
            return False
        return (
            bool(self.settings.get('ann_file'))
            and inspect.isclass(self.kind)
            and issubclass(self.kind, CocoDataset)
            and not issubclass(self.kind, CocoPanopticDataset)
        )

    @property
    def is_segmentation(self) -> bool:
        """Whether it is one of MMSegmentation."""
        try:
            from mmseg.datasets import BaseSegDataset
        except ImportError:
            return False
        return inspect.isclass(self.kind) and issubclass(
            self.kind, BaseSegDataset
        )

    @property
    def ann_file(self) -> Path:
        """The annotation file."""
        root = Path(self.settings.get('data_root') or '')
        return root / self.settings['ann_file']

    @property
    def paths(self) -> Iterator[Path]:
        """The files and folders that it names."""
        if self.settings.get('ann_file'):
            yield self.ann_file
        root = Path(self.settings.get('data_root') or '')
        for prefix in (self.settings.get('data_prefix') or {}).values():
            # mmdet and mmseg both allow file name prefixes besides folders
            if isinstance(prefix, str) and prefix.endswith('/'):
                yield root / prefix

    def build(self, **options: Any) -> Any:
        """Build it without its pipeline, to have its images listed."""
        settings = {
            key: value
            for key, value in self.settings.items()
            if key not in ('type', '_scope_')
        }
        settings |= dict(options, pipeline=[], lazy_init=True)
        return self.kind(**settings)


def find_data(cfg: Config, splits: Iterable[str]) -> list[DataSource]:
    """Find the data sets of the splits."""
    return [
        DataSource(cfg, split, settings)
        for split in splits
        for settings in dataset_cfgs(cfg, split)
    ]


def check_data(cfg: Config, splits: Iterable[str]) -> list[DataSource]:
    """Check the data of the splits before anything is built.

    Folders and annotation files exist, the model counts as many classes as
    the data have, annotation files are sound, and there is something to
    learn or to measure.

    Args:
        cfg: Config.
        splits: Some of ``train``, ``val`` and ``test``.

    Returns:
        The data sets of the splits.

    Raises:
        UserError: Names the first that is wrong.
    """
    found = find_data(cfg, splits)
    for data in found:
        _check_paths(data)
    import_stack()
    heads = list(find_class_counts(cfg.get('model'), scope_of(cfg)))
    for split in dict.fromkeys(data.split for data in found):
        _check_metrics(cfg, split)
    for data in found:
        _check_counts(data, [(path, number) for path, _, number in heads])
        if is_first_process():
            _check_content(data)
    return found


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


def _check_paths(data: DataSource) -> None:
    if data.is_remote:
        return
    root, split = data.settings.get('data_root'), data.split
    if root and not Path(root).is_dir():
        raise UserError(
            f'the {split} data root {root} is not there; put the data set '
            'there, name its folder with --data-root, or give data of your '
            'own with --data'
        )
    for path in data.paths:
        if not path.exists():
            raise UserError(
                f'{path}, which the {split} data set '
                f'{data.settings.get("type")} needs, is not there; is {root} '
                'a complete copy of the data set? For data of your own, in '
                'other folders and files, there is --data'
            )


def _read_classes(given: str) -> tuple[str, ...]:
    """Read a file with one class on each line.

    Raises:
        UserError: There is no such file.
    """
    if not Path(given).is_file():
        raise UserError(
            f'metainfo.classes={given!r} is one string, which counts as '
            f"{len(given)} classes: write classes=('{given}',)"
        )
    lines = Path(given).read_text(encoding='utf-8-sig').split('\n')
    return tuple(line.strip() for line in lines if line.strip())


def _check_counts(data: DataSource, heads: list[tuple[str, int]]) -> None:
    """Check that every head counts the classes of the data.

    Raises:
        UserError: Has both numbers, and where they stand.
    """
    classes, split = data.classes, data.split
    if classes is None:
        return
    there = f'the {split} data have {len(classes)} ({shorten(classes, 4)})'
    for path, number in heads:
        if number != len(classes):
            raise UserError(
                f'{path}.num_classes is {number}, but {there}: set '
                f'--cfg-options {path}.num_classes={len(classes)}, {_REMEDY}'
            )
    for step in find_dicts(data.cfg.get(f'{split}_dataloader')):
        number = step.get('num_classes', len(classes))
        if 'type' in step and number != len(classes):
            raise UserError(
                f'num_classes of {step["type"]} in the pipeline of '
                f'{split}_dataloader is {number}, but {there}: they must '
                f'agree; set it, {_REMEDY}'
            )


def _check_content(data: DataSource) -> None:
    if not inspect.isclass(data.kind) or data.is_remote:
        return
    if data.is_coco:
        _check_coco(data)
    elif data.is_segmentation:
        _check_segmentation(data)
    elif issubclass(data.kind, KittiMonoDataset) and data.split == 'train':
        _count_left_out(data)


def _check_coco(data: DataSource) -> None:
    path = data.ann_file
    steps = find_dicts(data.cfg.get('train_dataloader'))
    report = check_coco(path, any(step.get('with_mask') for step in steps))
    fault = report.fault or report.mask_fault
    if fault:
        raise UserError(f'annotation file {path}: {fault}')
    _check_categories(path, report, data.classes)
    _check_amount(data, report)
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
    _check_evaluators(data)
    if data.split != 'train':
        _warn_of_limits(data)
        _check_coco_images(data)


def _check_evaluators(data: DataSource) -> None:
    """Check that metrics are computed of the file that is predicted on."""
    path, split = data.ann_file, data.split
    for evaluator in evaluators(data.cfg, split):
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


def _warn_of_limits(data: DataSource) -> None:
    most = ObjectCounts.from_index(load_index(data.ann_file), data.classes)
    faults = find_low_limits(data.cfg, data.split, most)
    if faults:
        _warn(
            f'{data.ann_file}: an image has up to {most.of_image} objects, '
            f'and {most.of_class} of one class, more than {", ".join(faults)} '
            'allow, so even perfect predictions would not reach perfect '
            'metrics: '
            f'raise these numbers, {_REMEDY}'
        )


def _check_coco_images(data: DataSource) -> None:
    """See that the images to measure on are there and whole."""
    prefix = (data.settings.get('data_prefix') or {}).get('img') or ''
    start = os.path.join(data.settings.get('data_root') or '', prefix)
    names = [name for _, name, _, _ in load_index(data.ann_file).images]
    _check_images(data.ann_file, [os.path.join(start, n) for n in names])


def _check_images(source: Path, paths: Sequence[str]) -> None:
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


def _count_left_out(data: DataSource) -> None:
    """Count the objects of KITTI that a recipe leaves out."""
    built = data.build(test_mode=True)
    frames = [info['eval_labels'] for info in built.load_data_list()]
    objects = KittiObjects.concatenate([f for f in frames if f is not None])
    objects = objects[objects.is_type(*built.metainfo['classes'])]
    for line in left_out_lines(data.cfg, objects):
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


def _check_amount(data: DataSource, report: CocoReport) -> None:
    """Check that there is something to learn, or to measure."""
    path, split, classes = data.ann_file, data.split, data.classes
    if not report.num_images:
        raise UserError(f'{path}: the list of images is empty')
    if report.num_annotations < 0:
        only_written = all(
            e.get('format_only') for e in evaluators(data.cfg, split)
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
    least = (data.settings.get('filter_cfg') or {}).get('min_size', 0)
    if split == 'train' and report.largest_side < least:
        raise UserError(
            f'{path}: train_dataloader.dataset.filter_cfg.min_size={least} '
            'leaves out all images, whose shorter sides are '
            f'{report.largest_side} pixels at most'
        )


def _check_segmentation(data: DataSource) -> None:
    """List the images of a split, and see that they and masks are there."""
    split = data.split
    try:
        built = data.build()
        infos = built.load_data_list()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f'the {split} data set {data.settings["type"]} cannot be listed: '
            f'{error}'
        ) from error
    if not infos:
        suffix = getattr(built, 'img_suffix', None)
        folder = built.data_prefix.get('img_path')
        raise UserError(
            f'the {split} data set has no images: looked for files that end '
            f'on {suffix!r} in {folder}, '
            + _what_is_in(folder, built.ann_file)
        )
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
        _check_images(place, paths)
    check_mask_orientation(data.cfg, split, place, infos)


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


def read_coco_once(found: Iterable[DataSource]) -> None:
    """Let data sets of COCO start from the index that the checks have built.

    Args:
        found: Result of :func:`check_data`; MMDetection's ``CocoDataset`` is
            replaced in the config by ours, which returns the same.
    """
    for data in found:
        if data.is_coco and data.kind.__module__ == 'mmdet.datasets.coco':
            data.settings['type'] = 'lvt_dense.CocoDataset'


def annotation_fault(cfg: Config) -> str | None:
    """Find what is wrong with the annotation files of a config.

    Returns:
        One line, or None.
    """
    for data in find_data(cfg, ('train', 'val', 'test')):
        if data.is_coco and data.ann_file.is_file():
            fault = coco_fault(data.ann_file)
            if fault:
                return f'annotation file {data.ann_file}: {fault}'
    return None


def coco_fault(path: Path) -> str | None:
    """Say what is wrong with a COCO annotation file, or None."""
    return check_coco(path).fault
