"""Boxes and instance masks: COCO JSON in the cache, and the config."""

import json
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    Object,
    Sample,
)
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
    for split, samples in data.splits.items():
        if split == 'test' and samples is data.splits.get('val'):
            continue
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
            'learns from; take a recipe for detection'
        )


def write_coco(data: LabeledData) -> dict[str, Path]:
    """Write one COCO JSON a split into the cache, named by its content.

    Images are in the order of their paths and named from the data root,
    categories have the ids 1, 2, ...

    Returns:
        The file of every split.
    """
    root = data.root.resolve()
    files: dict[Any, Any] = {}
    for split, samples in data.splits.items():
        if split == 'test' and samples is data.splits['val']:
            files[split] = files['val']
            continue
        content = coco_content(samples, data.classes, root)
        text = json.dumps(content, separators=(',', ':'))
        files[split] = store('coco', f'{split}.json', text.encode())
    return files


def coco_content(
    samples: list[Sample], classes: list[str], root: Path
) -> dict[str, Any]:
    """Put samples into COCO's form.

    Args:
        samples: Images with boxes in pixels.
        classes: Names of the classes.
        root: Folder that file names are relative to.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, sample in enumerate(samples, 1):
        images.append(
            dict(
                id=number,
                file_name=_name(sample.path, root),
                width=sample.width,
                height=sample.height,
            )
        )
        for item in sample.objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=item.label + 1,
                    bbox=[round(v, 6) for v in item.bbox],
                    area=round(area_of(item), 6),
                    iscrowd=int(item.is_crowd),
                    segmentation=_segmentation(item, sample),
                )
            )
    categories = [dict(id=i, name=n) for i, n in enumerate(classes, 1)]
    return dict(images=images, annotations=annotations, categories=categories)


def _name(path: Path, root: Path) -> str:
    absolute = Path(os.path.abspath(path))
    for base in (root, Path(os.path.abspath(root))):
        if absolute.is_relative_to(base):
            return absolute.relative_to(base).as_posix()
    return str(absolute)


def area_of(item: Object) -> float:
    """Return the area of an object in pixels."""
    if item.area is not None and item.area > 0:
        return item.area
    if isinstance(item.segmentation, list):
        area = sum(_polygon_area(p) for p in item.segmentation)
        if area > 0:
            return area
    return item.bbox[2] * item.bbox[3]


def _polygon_area(points: list[float]) -> float:
    xs, ys = points[::2], points[1::2]
    pairs = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1])
    return abs(sum(x1 * y2 - x2 * y1 for x1, y1, x2, y2 in pairs)) / 2


def _segmentation(item: Object, sample: Sample) -> list | dict:
    """Return a mask in the form that mmdet and pycocotools take.

    Crowds have run lengths there, and a polygon would be taken apart.
    """
    if item.segmentation is None:
        return []
    if item.is_crowd and isinstance(item.segmentation, list):
        from pycocotools import mask as coco_mask

        codes = coco_mask.frPyObjects(
            item.segmentation, sample.height, sample.width
        )
        code = coco_mask.merge(codes)
        return dict(size=list(code['size']), counts=code['counts'].decode())
    return item.segmentation


def adapt_detection(cfg: Config, data: LabeledData, task: str) -> None:
    """Make a config read the data, in place.

    Args:
        cfg: Config of a detector.
        data: Labels with all three splits.
        task: ``'detection'`` or ``'instance'``.
    """
    files = write_coco(data)
    root = str(data.root.resolve())
    metainfo = dict(
        classes=tuple(data.classes), palette=[tuple(c) for c in data.palette]
    )
    scope = cfg.get('default_scope')
    kind = 'CocoDataset' if scope == 'mmdet' else 'mmdet.CocoDataset'

    def dataset(split: str, kept: dict[str, Any]) -> dict[str, Any]:
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
