"""Monocular 3D: lists of frames in the cache, and the config."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.kitti.folder import scan_kitti_folder
from lvt_dense.datasets.kitti.labels import KittiObjects, read_calib
from lvt_dense.datasets.kitti.plausibility import (
    count_left_out,
    is_poor,
    projection_overlaps,
)
from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.cache import store
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .adapt import replace_datasets, replace_evaluators, set_variables
from .heads import find_class_counts
from .prepared import Prepared
from .summary import count_objects

# What KITTI's own labels hold.
_STANDARD = {
    *('Pedestrian', 'Cyclist', 'Car'),
    *('Van', 'Truck', 'Person_sitting', 'Tram', 'Misc'),
}
# A metric that KittiMetric has whatever the classes are.
_HEADLINE = 'KITTI/3D_AP40_moderate_strict'


def default_classes(cfg: Config, data: LabeledData) -> list[str]:
    """Choose the classes to learn where ``--classes`` does not.

    The recipe's own, where the data are KITTI's; else all, in the order of
    their number.
    """
    dataset = next(dataset_cfgs(cfg, 'train'))
    cls = lookup_class(DATASETS, dataset['type'], cfg.get('default_scope'))
    own = (dataset.get('metainfo') or {}).get('classes')
    own = list(own or cls.METAINFO['classes'])
    if set(own) <= set(data.classes) <= {*_STANDARD, *own}:
        if set(data.classes) > set(own):
            data.notes.append(
                f'the classes are those of the recipe ({", ".join(own)}); '
                f'choose others of {", ".join(data.classes)} with --classes'
            )
        return own
    counts = count_objects([])
    for samples in data.splits.values():
        counts += count_objects(samples)
    order = sorted(range(len(data.classes)), key=lambda i: -counts[i])
    return [data.classes[i] for i in order]


def check_frames(cfg: Config, data: LabeledData) -> None:
    """Compare 3D boxes with 2D boxes, and count what is never learned.

    Args:
        cfg: Config that will use the data; its limits of objects count.
        data: Labels with all splits; gets notes and findings.

    Raises:
        UserError: Most boxes cannot be right, or no object is left to learn.
    """
    _check_projections(data)
    frames = [data.frames[s.path][0] for s in data.splits['train']]
    objects = KittiObjects.concatenate(frames)
    objects = objects[objects.is_type(*data.classes)]
    for line in left_out_lines(cfg, objects):
        data.notes.append(f'train: {line}')


def left_out_lines(cfg: Config, objects: KittiObjects) -> list[str]:
    """Say what a recipe leaves out of the objects to learn.

    Args:
        cfg: Config of a monocular 3D detector.
        objects: Objects of the classes in the training frames.

    Returns:
        A line a reason.

    Raises:
        UserError: All objects are left out.
    """
    from lvt_dense.datasets.transforms.mono3d import FilterObjects3D

    steps = [
        step
        for dataset in dataset_cfgs(cfg, 'train')
        for step in dataset.get('pipeline') or []
        if lookup_class(TRANSFORMS, step, cfg.get('default_scope'))
        is FilterObjects3D
    ]
    if not steps or not len(objects):
        return []
    limits = {k: v for k, v in steps[0].items() if k != 'type'}
    kept, reasons = count_left_out(objects, FilterObjects3D(**limits).limits)
    total = len(objects)
    lines = [
        f'{count} of {total} objects are left out: {reason}'
        for reason, count in reasons.items()
    ]
    if not kept:
        raise UserError(
            'no object is left to train on: '
            + '; '.join(lines)
            + '; correct the labels, or set the limits of FilterObjects3D in '
            'train_dataloader.dataset.pipeline'
        )
    return lines


def _check_projections(data: LabeledData) -> None:
    samples = list(
        {s.path: s for split in data.splits.values() for s in split}.values()
    )
    frames, places = [], []
    for sample in samples:
        objects, calib = data.frames[sample.path]
        own = objects.is_type(*data.classes)
        frames.append(
            (objects[own], read_calib(calib), (sample.width, sample.height))
        )
        lines = np.flatnonzero(own) + 1
        places += [f'{sample.path.stem}.txt:{line}' for line in lines]
    overlaps, reading = projection_overlaps(frames)
    poor, known = is_poor(overlaps), ~np.isnan(overlaps)
    if not poor.any() and reading is None:
        return
    examples = [places[i] for i in np.flatnonzero(poor)]
    text = (
        f'{len(examples)} of {known.sum()} 3D boxes do not meet their 2D box '
        f'when projected: {shorten(examples, 3)}'
    )
    if reading is None and poor.sum() <= known.sum() / 2:
        data.findings.add(
            '3D boxes do not meet their 2D box when projected',
            shorten(examples, 3),
            len(examples),
        )
        return
    depths = np.concatenate([o.boxes_3d[:, 2] for o, _, _ in frames])
    behind = int((depths[poor] <= 0).sum())
    raise UserError(
        f'--data {data.root}: {text}'
        + (f'; {behind} lie behind the camera' if behind else '')
        + (f'; {reading}' if reading else '')
        + '. KITTI has height, width, length in meters, then x to the right, '
        'y down and z forward of the middle of the bottom, and rotation_y'
    )


def write_frames(data: LabeledData) -> dict[str, Path]:
    """Write the list of frames of every split into the cache."""
    files = {}
    for split, samples in data.splits.items():
        text = ''.join(f'{sample.path.stem}\n' for sample in samples)
        files[split] = store('kitti', f'{split}.txt', text.encode())
    return files


def adapt_mono3d(cfg: Config, data: Prepared) -> None:
    """Make a config read the data, in place.

    Args:
        cfg: Config of a monocular 3D detector.
        data: What is in the cache.
    """
    folder = scan_kitti_folder(data.root)
    palette = [tuple(c) for c in data.colors]

    def dataset(split: str, kept: dict[str, Any]) -> dict[str, Any]:
        kept.pop('filter_cfg', None)
        settings = folder.dataset_settings(
            str(data.files[split]), data.classes
        )
        settings['metainfo']['palette'] = palette
        return dict(kept, **settings)

    def evaluator(split: str, old: dict | None) -> dict[str, Any]:
        metric = dict(old or dict(type='lvt_dense.KittiMetric'))
        overlaps = metric.get('overlaps') or {}
        known = {n: v for n, v in overlaps.items() if n in data.classes}
        if overlaps:
            metric['overlaps'] = known
        return metric

    replace_datasets(cfg, dataset)
    replace_evaluators(cfg, evaluator)
    scope = cfg.get('default_scope') or 'mmdet'
    for _, head, _ in list(find_class_counts(cfg.model, scope)):
        kind = lookup_class(MODELS, head.get('type'), scope)
        head.update(folder.head_settings(kind, data.classes))
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = str(hook.get('save_best') or '')
    name, _, rest = best.removeprefix('KITTI/').partition('_3D_')
    if rest and name not in data.classes:
        hook['save_best'] = _HEADLINE
    set_variables(cfg, data_root=str(folder.root), classes=tuple(data.classes))
