"""COCO's twelve metrics."""

import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest import mock

from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation.metrics import CocoMetric as MMDetCocoMetric
from mmdet.evaluation.metrics import coco_metric
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from lvt_dense.registry import METRICS
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import read_text
from lvt_dense.utils.optional import import_optional

BACKENDS = ('pycocotools', 'faster-coco-eval')
_PRECISIONS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
# How MMDetection names the recalls of pycocotools' summary: after its own
# default of 100, 300 and 1000 boxes, whatever the numbers are.
_RECALLS = ('AR@100', 'AR@300', 'AR@1000')
_SIZED_RECALLS = ('AR_s@1000', 'AR_m@1000', 'AR_l@1000')
# pycocotools averages precision over this many boxes an image and class.
_COUNTED = 100


class _Evaluation(COCOeval):
    """pycocotools', with mAP of the largest number of boxes, not of 100."""

    def summarize(self) -> None:
        super().summarize()
        if self.params.useCats:
            precision = self.eval['precision'][:, :, :, 0, -1]
            counted = precision[precision > -1]
            self.stats[0] = counted.mean() if counted.size else -1


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """MMDetection's metric with the settings and metrics of COCO itself.

    As in pycocotools, at most 1, 10 and 100 boxes per image are evaluated, and
    all twelve metrics of its summary are reported: ``bbox_mAP``,
    ``bbox_mAP_50`` and so on, and the recalls ``bbox_AR@1`` to
    ``bbox_AR_l@100``, named after the numbers of boxes; for ``proposal``, only
    the six recalls. Without any detection, they are 0.

    Annotations may have any ids, including 0, which pycocotools ignores, and
    duplicates, or no ids. A missing ``iscrowd`` means 0, and a missing
    ``area`` is that of the box.

    Args:
        ann_file: Annotation file in COCO's format; by default the ground
            truth is that of the data set.
        proposal_nums: Three numbers of boxes an image and class, of which the
            last one is that of all metrics but the first two recalls. Data
            with more than 100 objects of a class in an image need a larger
            one, and so does ``max_per_img`` of the model.
        metric_items: Some of the metrics, under the names above without
            ``bbox_`` or ``segm_``.
        backend: ``pycocotools``, or ``faster-coco-eval`` for the same
            metrics several times as fast; the latter is a package of its own
            (the extra ``coco``).
        **kwargs: Other arguments of MMDetection's ``CocoMetric``.

    Raises:
        UserError: There is no such metric or backend, the annotation file
            has two images of one id, or ``format_only`` has no
            ``outfile_prefix``.
    """

    metrics: list[str]

    def __init__(
        self,
        ann_file: str | None = None,
        proposal_nums: Sequence[int] = (1, 10, _COUNTED),
        metric_items: Sequence[str] | None = None,
        backend: str = BACKENDS[0],
        **kwargs: Any,
    ) -> None:
        self._evaluator = _find_evaluator(backend)
        names = _name_metrics(proposal_nums)
        items = None if metric_items is None else list(metric_items)
        for item in items or ():
            if item not in names:
                raise UserError(
                    f'metric_items of CocoMetric: there is no {item!r} with '
                    f'proposal_nums={tuple(proposal_nums)}; choose from '
                    f'{", ".join(names)}'
                )
        if kwargs.get('format_only') and not kwargs.get('outfile_prefix'):
            raise UserError(
                'format_only=True of CocoMetric writes predictions alone: '
                'set outfile_prefix=FILE, or give "lvt-dense test" an '
                '--out FILE.json'
            )
        super().__init__(proposal_nums=proposal_nums, **kwargs)
        is_own = self._evaluator is _Evaluation and not self.use_mp_eval
        if not is_own and _COUNTED not in proposal_nums:
            raise UserError(
                f'proposal_nums={tuple(proposal_nums)} of CocoMetric: with '
                f'use_mp_eval or another backend {_COUNTED} must be one of '
                'the numbers'
            )
        self._names = names
        self._items = items
        if ann_file is not None:
            with get_local_path(
                ann_file, backend_args=self.backend_args
            ) as path:
                self._coco_api = _load_api(path)

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Compute the metrics, in [0, 1]; -1 where no object counts.

        Raises:
            UserError: The annotation file lacks a class of the data set.
        """
        if self._coco_api is None:
            results = _renumber_images(results)
            self._coco_api = _build_api(self.dataset_meta['classes'], results)
        self._check_classes()
        self._warn_of_crowded_images()
        metrics = self.metrics
        values: dict[str, float] = OrderedDict()
        groups = [
            [m for m in metrics if m in ('bbox', 'segm')],
            [m for m in metrics if m == 'proposal'],
            [m for m in metrics if m == 'proposal_fast'],
        ]
        try:
            for self.metrics in filter(None, groups):
                values.update(self._compute(results))
        finally:
            self.metrics = metrics
        return values

    def _compute(self, results: list[tuple]) -> dict[str, float]:
        """Compute metrics of kinds whose names do not collide."""
        items = self._items
        if items is None:
            recalls = self.metrics == ['proposal']
            items = list(self._names)[len(_PRECISIONS) if recalls else 0 :]
        wanted = {self._names[item]: item for item in items}
        self.metric_items = list(wanted)
        with mock.patch.object(coco_metric, 'COCOeval', self._evaluator):
            values = super().compute_metrics(results)
        if self.metrics == ['proposal_fast']:
            return values
        renamed = {
            f'{metric}_{theirs}': f'{metric}_{ours}'
            for metric in self.metrics
            for theirs, ours in wanted.items()
        }
        if self.metrics == ['proposal']:
            renamed = wanted
        # save_best='auto' takes the first one, which is not to be a class's
        first = renamed.values()
        named = {renamed.get(key, key): values[key] for key in values}
        return OrderedDict(
            sorted(named.items(), key=lambda i: i[0] not in first)
        )

    def _warn_of_crowded_images(self) -> None:
        """Say that the metrics of perfect predictions would not be 1."""
        classes = self.dataset_meta['classes']
        wanted = self._coco_api.get_cat_ids(cat_names=classes)
        counts = Counter(
            (item['image_id'], item['category_id'])
            for item in self._coco_api.anns.values()
            if not item.get('iscrowd') and item['category_id'] in wanted
        )
        most, limit = max(counts.values(), default=0), self.proposal_nums[-1]
        if most <= limit:
            return
        images = {image for (image, _), n in counts.items() if n > limit}
        numbers = (*self.proposal_nums[:2], most)
        print_log(
            f'{len(images)} of {len(self._coco_api.imgs)} images have more '
            f'than {limit} objects of a class, up to {most}, of which the '
            f'metrics count {limit}, so that perfect predictions do not '
            f'reach 1: set proposal_nums={numbers} of CocoMetric, and '
            f'max_per_img in model.test_cfg to {most} or more',
            logger='current',
            level=logging.WARNING,
        )

    def _check_classes(self) -> None:
        known = [category['name'] for category in self._coco_api.cats.values()]
        absent = [c for c in self.dataset_meta['classes'] if c not in known]
        if absent:
            raise UserError(
                f'the annotation file of CocoMetric has no category '
                f'{", ".join(absent)}; its categories are {", ".join(known)}'
            )


def _find_evaluator(backend: str) -> type:
    if backend == BACKENDS[0]:
        return _Evaluation
    if backend not in BACKENDS:
        raise UserError(
            f'backend={backend!r} of CocoMetric: choose from '
            f'{", ".join(BACKENDS)}'
        )
    package = import_optional(
        'faster_coco_eval', f'backend={backend!r} of CocoMetric', 'coco'
    )
    return package.COCOeval_faster


def _name_metrics(proposal_nums: Sequence[int]) -> dict[str, str]:
    """Map our names of the metrics to MMDetection's."""
    if len(proposal_nums) != len(_RECALLS):
        raise UserError(
            f'proposal_nums={tuple(proposal_nums)} of CocoMetric: give three '
            'numbers of boxes an image'
        )
    names = {name: name for name in _PRECISIONS}
    for number, theirs in zip(proposal_nums, _RECALLS):
        names[f'AR@{number}'] = theirs
    for theirs in _SIZED_RECALLS:
        names[f'{theirs.partition("@")[0]}@{proposal_nums[-1]}'] = theirs
    return names


def _load_api(path: str) -> COCO:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f'{path}: not JSON ({error})') from None
    return _index(content, path)


def _index(content: dict, path: str) -> COCO:
    """Build the index of ground truth, annotations numbered from 1."""
    names: dict[Any, str] = {}
    for image in content['images']:
        if image['id'] in names:
            raise UserError(
                f'{path}: the images {names[image["id"]]} and '
                f'{image.get("file_name")} have one id, {image["id"]!r}; '
                'number the images'
            )
        names[image['id']] = str(image.get('file_name'))
    annotations = content.setdefault('annotations', [])
    ids = [annotation.get('id') for annotation in annotations]
    if 0 in ids or None in ids or len(set(ids)) < len(ids):
        for number, annotation in enumerate(annotations, 1):
            annotation['id'] = number
    for annotation in annotations:
        annotation.setdefault('iscrowd', 0)
        if 'area' not in annotation:
            annotation['area'] = annotation['bbox'][2] * annotation['bbox'][3]
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    # MMDetection's names of the index.
    coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
    coco.loadRes = partial(_load_results, coco)
    return coco


def _load_results(coco: COCO, results: list[dict]) -> COCO:
    """Load results as ``COCO.loadRes`` does, and none as well."""
    if results:
        return type(coco).loadRes(coco, results)
    empty = COCO()
    empty.dataset = dict(coco.dataset, annotations=[])
    empty.createIndex()
    return empty


def _build_api(classes: Sequence[str], results: list[tuple]) -> COCO:
    """Turn the ground truth of a data set into COCO's form."""
    annotations: list[dict] = []
    for truth, _ in results:
        for item in truth['anns']:
            x1, y1, x2, y2 = item['bbox']
            annotation = dict(
                id=len(annotations) + 1,
                image_id=truth['img_id'],
                bbox=[x1, y1, x2 - x1, y2 - y1],
                iscrowd=item.get('ignore_flag', 0),
                category_id=int(item['bbox_label']),
                area=(x2 - x1) * (y2 - y1),
            )
            if item.get('mask'):
                annotation['segmentation'] = item['mask']
            annotations.append(annotation)
    content = dict(
        images=[
            dict(id=t['img_id'], width=t['width'], height=t['height'])
            for t, _ in results
        ],
        categories=[dict(id=i, name=n) for i, n in enumerate(classes)],
        annotations=annotations,
    )
    return _index(content, 'the data set')


def _renumber_images(results: list[tuple]) -> list[tuple]:
    """Give images ids of their own, where those of two sets are equal."""
    counts = Counter(truth['img_id'] for truth, _ in results)
    if max(counts.values(), default=0) < 2:
        return results
    return [
        ({**truth, 'img_id': i}, {**found, 'img_id': i})
        for i, (truth, found) in enumerate(results)
    ]
