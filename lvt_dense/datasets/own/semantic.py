"""Semantic masks: label maps in the cache, and the config."""

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import METRICS

from lvt_dense.datasets.image_files import turn_pixels
from lvt_dense.datasets.label_maps import ignored_label
from lvt_dense.datasets.own.formats.labeled_data import LabeledData, Sample
from lvt_dense.utils.cache import cache_dir, store
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.threads import map_in_threads

from .adapt import (
    replace_datasets,
    replace_evaluators,
    set_variables,
    steps_of,
)
from .classes import check_names
from .detection import area_of
from .heads import set_num_classes
from .mask_files import read_pixels, scan_masks
from .masks import Coding, find_coding, sample_fault
from .prepared import Prepared
from .upright import find_stored, turned_size

BACKGROUND = 'background'


def prepare_masks(data: LabeledData, names: Sequence[str] | None) -> None:
    """Give every sample a label map, and the data their classes, in place.

    Masks that hold labels already are used where they are; the others are
    converted into the cache.

    Args:
        data: Cleaned labels.
        names: From ``--classes``.

    Raises:
        UserError: Masks cannot be read or told apart.
    """
    masks = [s.mask for samples in data.splits.values() for s in samples]
    scans = scan_masks(data.root, [m for m in masks if m is not None])
    coding = find_coding(data, scans, names)
    stored = find_stored(data, scans, coding)
    data.classes, data.colors = coding.classes, coding.colors
    if names and list(names) != data.classes:
        _select(data, coding, names)
    for split, samples in data.splits.items():
        kept, bad = [], []
        for sample in samples:
            assert sample.mask is not None
            scan = scans[sample.mask]
            if sample.mask in stored:
                size = turned_size(scan.size, sample.orientation)
                scan = replace(scan, size=size)
            fault = sample_fault(sample, scan)
            if fault:
                bad.append(fault)
                continue
            kept.append(sample)
            sample.pixels = coding.counts(scan)
        _judge(data, split, bad, len(samples))
        data.splits[split] = kept
    _convert(data, coding, scans, stored)


def _judge(data: LabeledData, split: str, bad: list[str], total: int) -> None:
    if bad and (split in ('val', 'test') or len(bad) == total):
        raise UserError(
            f'{split}: {len(bad)} of {total} masks cannot be used: {bad[0]}'
        )
    for text in bad:
        data.findings.add('masks cannot be used and are left out', text)


def _select(data: LabeledData, coding: Coding, names: Sequence[str]) -> None:
    """Keep a part of the classes; pixels of the others do not count."""
    check_names(data, names)
    new = {data.classes.index(n): i for i, n in enumerate(names)}
    coding.label_of = {
        v: new[label] for v, label in coding.label_of.items() if label in new
    }
    if coding.is_binary:
        raise UserError(
            '--classes: binary masks have two classes, and both are needed'
        )
    if data.colors is not None:
        data.colors = [data.colors[i] for i in new]
    data.notes.append(
        f'pixels of {len(data.classes) - len(names)} classes that --classes '
        'leaves out do not count'
    )
    data.classes = coding.classes = list(names)


def _convert(
    data: LabeledData, coding: Coding, scans: dict, stored: set[Path]
) -> None:
    """Write the label maps of masks that hold something else."""
    work = [
        sample
        for samples in data.splits.values()
        for sample in samples
        if not coding.is_identity(scans[sample.mask]) or sample.mask in stored
    ]
    rule = [sorted(coding.label_of.items()), coding.by, coding.ignored]

    def convert(sample: Sample) -> Path:
        source = sample.mask
        assert source is not None
        turn = sample.orientation if source in stored else 1
        stat = source.stat()
        key = [str(source.resolve()), stat.st_size, stat.st_mtime_ns]
        target = _target([*key, rule, turn], source.stem)
        if not target.is_file():
            labels = coding.apply(read_pixels(source))
            _write_map(target, turn_pixels(labels, turn))
        return target

    targets = map_in_threads(convert, work, 'label maps', chunk=8)
    for sample, target in zip(work, targets):
        sample.mask = target


def _target(key: Any, stem: str) -> Path:
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return (
        cache_dir() / 'label_maps' / digest[:2] / f'{digest[:16]}_{stem}.png'
    )


def _write_map(path: Path, labels: np.ndarray) -> None:
    _, code = cv2.imencode('.png', np.ascontiguousarray(labels))
    try:
        write_atomically(path, code.tobytes(), sync=False)
    except OSError as error:
        raise UserError(
            f'{path.parent}: {error.strerror}; let the environment variable '
            'XDG_CACHE_HOME name a folder that can be written'
        ) from None


def draw_label_maps(data: LabeledData) -> None:
    """Draw label maps of polygons into the cache, and set them, in place.

    Pixels of no object are ``background``, label 0; smaller objects lie on
    larger ones, and crowds do not count.

    Raises:
        UserError: There are boxes alone.
    """
    if not any(o.segmentation for _, o in _objects(data)):
        raise UserError(
            f'--data {data.root}: the {data.layout} labels have no polygons, '
            'which a recipe for semantic segmentation needs; use a recipe for '
            'detection'
        )
    shift = _background_first(data)
    ignored = ignored_label(len(data.classes))
    samples = [s for split in data.splits.values() for s in split]
    samples = list({id(s): s for s in samples}.values())

    def draw(sample: Sample) -> None:
        labels = _rasterize(sample, shift, ignored, data)
        key = [labels.shape, hashlib.sha256(labels.tobytes()).hexdigest()]
        sample.mask = _target(key, sample.path.stem)
        if not sample.mask.is_file():
            _write_map(sample.mask, labels)
        values, counts = np.unique(labels, return_counts=True)
        sample.pixels = Counter(
            {
                -1 if value == ignored else value: count
                for value, count in zip(values.tolist(), counts.tolist())
            }
        )

    map_in_threads(draw, samples, 'label maps', chunk=8)


def _objects(data: LabeledData) -> Iterator[tuple[Sample, Any]]:
    for samples in data.splits.values():
        for sample in samples:
            yield from ((sample, item) for item in sample.objects)


def _background_first(data: LabeledData) -> list[int]:
    """Put background before the classes; return the new label of each."""
    names = [n.strip('_').lower() for n in data.classes]
    if BACKGROUND in names:
        old = names.index(BACKGROUND)
        order = [old, *(i for i in range(len(names)) if i != old)]
        data.classes = [data.classes[i] for i in order]
        if data.colors is not None:
            data.colors = [data.colors[i] for i in order]
        return [order.index(i) for i in range(len(order))]
    data.classes = [BACKGROUND, *data.classes]
    if data.colors is not None:
        data.colors = [(0, 0, 0), *data.colors]
    return [i + 1 for i in range(len(names))]


def _rasterize(
    sample: Sample, shift: list[int], ignored: int, data: LabeledData
) -> np.ndarray:
    from .pictures import mask_of

    shape = sample.height, sample.width
    dtype = np.uint8 if ignored == 255 else np.uint16
    labels = np.zeros(shape, dtype)
    for item in sorted(sample.objects, key=area_of, reverse=True):
        if not item.segmentation:
            data.findings.add(
                'objects have no polygon and are left out',
                f'{sample.path.name} ({item.source})',
            )
            continue
        where = mask_of(item.segmentation, shape) > 0
        labels[where] = ignored if item.is_crowd else shift[item.label]
    return labels


def class_weights(counts: Counter, number: int) -> list[float]:
    """Weigh classes by their share of pixels.

    1 / ln(1.05 + share), scaled to a mean of 1 over the pixels, as the
    recipes of this package for CamVid do.

    Args:
        counts: Pixels of every label.
        number: Number of classes.
    """
    total = sum(counts[i] for i in range(number)) or 1
    shares = [counts[i] / total for i in range(number)]
    raw = [1 / math.log(1.05 + share) for share in shares]
    mean = sum(w * s for w, s in zip(raw, shares)) or 1.0
    return [round(w / mean, 2) for w in raw]


def write_lists(data: LabeledData) -> dict[str, Path]:
    """Write the pairs of image and label map of every split into the cache."""
    files = {}
    for split, samples in data.splits.items():
        pairs = [
            dict(image=os.path.abspath(s.path), mask=os.path.abspath(s.mask))
            for s in samples
            if s.mask is not None
        ]
        text = json.dumps(pairs, indent=0, ensure_ascii=False)
        content = text.encode('utf-8', 'surrogateescape')
        files[split] = store('masks', f'{split}.json', content)
    return files


def adapt_semantic(cfg: Config, data: Prepared) -> None:
    """Make a config read the data, in place.

    Args:
        cfg: Config of a semantic segmenter.
        data: What is in the cache.
    """
    files = data.files
    number = len(data.classes)
    metainfo = dict(
        classes=tuple(data.classes), palette=[list(c) for c in data.colors]
    )
    scope = cfg.get('default_scope') or 'mmseg'

    def dataset(split: str, kept: dict[str, Any]) -> dict[str, Any]:
        kept.pop('filter_cfg', None)
        return dict(
            kept,
            type='lvt_dense.ImageMaskDataset',
            ann_file=str(files[split]),
            metainfo=metainfo,
        )

    def evaluator(split: str, old: dict | None) -> dict[str, Any]:
        from mmseg.evaluation import IoUMetric

        cls = lookup_class(METRICS, old['type'], scope) if old else None
        if cls is not None and issubclass(cls, IoUMetric):
            return dict(old or {})
        return dict(type='mmseg.IoUMetric', iou_metrics=['mIoU'])

    replace_datasets(cfg, dataset)
    replace_evaluators(cfg, evaluator)
    set_num_classes(cfg.model, number, scope)
    _follow(cfg, number)
    for loss in _weighted_losses(cfg.model):
        loss['class_weight'] = class_weights(data.pixels, number)
    set_variables(
        cfg,
        data_root=str(data.root),
        classes=metainfo['classes'],
        palette=metainfo['palette'],
        metainfo=metainfo,
        num_classes=number,
        dataset_type='lvt_dense.ImageMaskDataset',
    )


def _follow(cfg: Config, number: int) -> None:
    """Set what else in a config depends on the number of classes."""
    ignored = ignored_label(number)
    for step in steps_of(cfg):
        if 'num_classes' in step:
            step['num_classes'] = number
        if step.get('reduce_zero_label'):
            step['reduce_zero_label'] = False
        if ignored != 255 and 'cat_max_ratio' in step:
            step['ignore_index'] = ignored
    if ignored == 255:
        return
    cfg.model.data_preprocessor['seg_pad_val'] = ignored
    for key in ('decode_head', 'auxiliary_head'):
        heads = cfg.model.get(key) or []
        for head in heads if isinstance(heads, (list, tuple)) else [heads]:
            head['ignore_index'] = ignored
    for split in ('val', 'test'):
        cfg[f'{split}_evaluator']['ignore_index'] = ignored


def _weighted_losses(part: Any) -> Iterator[dict]:
    if isinstance(part, dict):
        if isinstance(part.get('class_weight'), (list, tuple)):
            yield part
        for value in part.values():
            yield from _weighted_losses(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _weighted_losses(value)
