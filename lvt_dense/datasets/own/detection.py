"""Boxes and instance masks: COCO JSON in the cache, and the config."""

import json
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from lvt_dense.datasets.coco_index import CocoIndex, CocoReport
from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.datasets.segmentations import polygon_area
from lvt_dense.utils.cache import store
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError

from .adapt import (
    find_dicts,
    replace_datasets,
    replace_evaluators,
    set_variables,
)
from .heads import set_num_classes
from .prepared import Prepared

DROP_FLAT = dict(
    type='mmdet.FilterAnnotations',
    min_gt_bbox_wh=(0.01, 0.01),
    keep_empty=False,
)


def check_masks(data: LabeledData) -> None:
    """Leave out objects without a mask, for instance segmentation.

    Raises:
        UserError: No object has one.
    """
    total = kept = 0
    for samples in data.splits.values():
        for sample in samples:
            total += len(sample.objects)
            without = [o for o in sample.objects if o.segmentation is None]
            for item in without:
                data.findings.add(
                    'objects have no mask and are left out',
                    f'{sample.path.name} ({item.source})',
                )
            if without:
                sample.objects = [
                    o for o in sample.objects if o.segmentation is not None
                ]
            kept += len(sample.objects)
    if total and not kept:
        raise UserError(
            f'--data {data.root}: the {data.layout} labels have boxes but no '
            'masks or polygons, which this recipe for instance segmentation '
            'needs; use a recipe for detection'
        )


def write_split_files(data: LabeledData) -> dict[str, Path]:
    """Write one COCO JSON a split into the cache, named by its content.

    Images are in the order of their paths and named from the data root.
    Images and categories have the ids of the user's own file where it has
    some, and else 1, 2, ...

    Returns:
        The file of every split.
    """
    root = data.root.resolve()
    files: dict[Any, Any] = {}
    for split, samples in data.splits.items():
        same = next((s for s in files if data.splits[s] is samples), None)
        if same is not None:
            files[split] = files[same]
            continue
        files[split] = _write_split(data, split, root)
    return files


def _write_split(data: LabeledData, split: str, root: Path) -> Path:
    samples = data.splits[split]
    numbers = [s.image_id for s in samples]
    if None in numbers or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(samples) + 1))
    own = data.category_ids.get(split, {})
    free = iter(range(max(own.values(), default=0) + 1, 2**31))
    categories = [
        [own[name] if name in own else next(free), name]
        for name in data.classes
    ]
    text, index = _format(samples, numbers, categories, root)
    path = store('coco', f'{split}.json', text)
    index.save(path, masks=True)
    return path


def _format(
    samples: list[Sample],
    numbers: list,
    categories: list[list],
    root: Path,
) -> tuple[bytearray, CocoIndex]:
    """Format a split, and note where its annotations stand."""
    images: list[list] = []
    text = bytearray(b'{"annotations":[')
    places = array('q')
    counts = [0] * len(categories)
    for row, sample in enumerate(samples):
        number = numbers[row]
        name = _name(sample.path, root)
        images.append([number, name, sample.width, sample.height])
        for item in sample.objects:
            start = len(text)
            text += _annotation(
                item, len(places) // 4 + 1, number, categories, sample
            )
            places.extend((start, len(text), row, item.label))
            text += b','
            counts[item.label] += not item.is_crowd
    if places:
        del text[-1:]
    tail = json.dumps(
        dict(
            images=[
                dict(id=i, file_name=n, width=w, height=h)
                for i, n, w, h in images
            ],
            categories=[dict(id=i, name=n) for i, n in categories],
        ),
        separators=(',', ':'),
    )
    text += b'],' + tail[1:].encode()
    names = [name for _, name in categories]
    report = CocoReport(
        categories=names,
        used={n: c for n, c in zip(names, counts) if c},
        num_images=len(images),
        num_annotations=len(places) // 4,
        largest_side=max((min(i[2:]) for i in images), default=0),
    )
    table = np.array(places, np.int64).reshape(-1, 4)
    return text, CocoIndex.build(report, images, categories, table)


def _annotation(
    item: Object,
    number: int,
    image: int,
    categories: list[list],
    sample: Sample,
) -> bytes:
    x, y, w, h = (round(v, 6) for v in item.bbox)
    return (
        f'{{"id":{number},"image_id":{image},"category_id":'
        f'{categories[item.label][0]},"bbox":[{x},{y},{w},{h}],"area":'
        f'{round(area_of(item), 6)},"iscrowd":{int(item.is_crowd)},'
        f'"segmentation":{_segmentation(item, sample)}}}'
    ).encode()


def _name(path: Path, root: Path) -> str:
    text, base = str(path), f'{root}{os.sep}'
    if text.startswith(base) and '..' not in path.parts:
        return text[len(base) :].replace(os.sep, '/')
    absolute = Path(os.path.abspath(path))
    for folder in (root, Path(os.path.abspath(root))):
        if absolute.is_relative_to(folder):
            return absolute.relative_to(folder).as_posix()
    return str(absolute)


def area_of(item: Object) -> float:
    """Return the area of an object in pixels."""
    if item.area is not None and item.area > 0:
        return item.area
    if isinstance(item.segmentation, list):
        area = sum(polygon_area(p) for p in item.segmentation)
        if area > 0:
            return area
    return item.bbox[2] * item.bbox[3]


def _segmentation(item: Object, sample: Sample) -> str:
    """Return a mask as JSON in the form that mmdet and pycocotools take.

    Crowds have run lengths there, and a polygon would be taken apart.
    """
    if item.segmentation is None:
        return '[]'
    if isinstance(item.segmentation, dict):
        return json.dumps(item.segmentation)
    polygons = [list(p) for p in item.segmentation]
    if item.is_crowd:
        from pycocotools import mask as coco_mask

        codes = coco_mask.frPyObjects(polygons, sample.height, sample.width)
        code = coco_mask.merge(codes)
        return json.dumps(
            dict(size=list(code['size']), counts=code['counts'].decode())
        )
    return repr(polygons)


def adapt_detection(cfg: Config, data: Prepared, task: str) -> None:
    """Make a config read the data, in place.

    Images without objects, and small ones, are part of the data: the filter
    of the recipe, which leaves them out, is for COCO.

    Args:
        cfg: Config of a detector.
        data: What is in the cache.
        task: ``'detection'`` or ``'instance'``.
    """
    files = data.files
    root = str(data.root)
    metainfo = dict(
        classes=tuple(data.classes), palette=[tuple(c) for c in data.colors]
    )
    scope = cfg.get('default_scope')
    kind = 'lvt_dense.CocoDataset'

    def dataset(split: str, kept: dict[str, Any]) -> dict[str, Any]:
        kept.pop('filter_cfg', None)
        return dict(
            kept,
            type=kind,
            data_root=root,
            ann_file=str(files[split]),
            data_prefix=dict(img=''),
            metainfo=metainfo,
        )

    def evaluator(split: str, old: dict | None) -> dict[str, Any]:
        if old and 'ann_file' in old:
            return dict(old, ann_file=str(files[split]))
        metric = ['bbox', 'segm'] if task == 'instance' else 'bbox'
        return dict(
            type='lvt_dense.CocoMetric',
            ann_file=str(files[split]),
            metric=metric,
        )

    replace_datasets(cfg, dataset)
    drop_flat_boxes(cfg)
    replace_evaluators(cfg, evaluator)
    set_num_classes(cfg.model, len(data.classes), scope or 'mmdet')
    set_variables(
        cfg,
        data_root=root,
        classes=metainfo['classes'],
        metainfo=metainfo,
        num_classes=len(data.classes),
        dataset_type=kind,
    )


def drop_flat_boxes(cfg: Config) -> None:
    """Drop boxes that lose their area in a training pipeline.

    A crop or rounding can leave such a box, and it makes the loss of many
    heads infinite.

    Args:
        cfg: Config; changed in place. A step goes before the one that packs
            the labels, where there is none that filters them already.
    """
    scope = cfg.get('default_scope') or 'mmdet'
    parts = [cfg.get('train_dataloader'), cfg.get('custom_hooks')]
    for node in list(find_dicts(parts)):
        for key in ('pipeline', 'switch_pipeline'):
            if isinstance(node.get(key), (list, tuple)):
                node[key] = _without_flat_boxes(list(node[key]), scope)


def _without_flat_boxes(pipeline: list, scope: str) -> list:
    from mmdet.datasets.transforms import FilterAnnotations, PackDetInputs

    kinds = [
        lookup_class(TRANSFORMS, step['type'], scope) for step in pipeline
    ]
    packs = [i for i, kind in enumerate(kinds) if _is_a(kind, PackDetInputs)]
    if not packs or any(_is_a(kind, FilterAnnotations) for kind in kinds):
        return pipeline
    pipeline.insert(packs[0], dict(DROP_FLAT))
    return pipeline


def _is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)
