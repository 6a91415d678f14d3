"""Record what a test run sees and predicts, for all tasks."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from pycocotools import mask as coco_mask

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.utils.errors import UserError

from .kitti_record import pack_kitti
from .records import (
    Images,
    Objects,
    Record,
    empty_objects,
    mask_areas,
)
from .semantic import encode_map
from .thresholds import confidence_table

# Probabilities are counted on every fourth pixel of every fourth row.
_STRIDE = 4


class Recorder(BaseMetric):
    """Keep the predictions of a test run, and score nothing.

    It joins the metrics of the run; :meth:`build` makes a record once the
    run is over.

    Args:
        dataset: The data set, which has the truth.
        evaluator: Metrics that it joins, which may have it as well; None for
            none.
        every: Keep one image of so many.
    """

    default_prefix = 'record'  # MMEngine warns of metrics without one

    def __init__(
        self, dataset: Any, evaluator: Evaluator | None = None, every: int = 1
    ) -> None:
        super().__init__(collect_device='cpu')
        self.dataset_meta = dataset.metainfo
        self.dataset = dataset
        self.every, self._seen = every, 0
        self.samples: list[dict] = []
        self.coco = None
        if evaluator is None:
            return
        self.dataset_meta = evaluator.dataset_meta
        # A metric without annotation file makes an index while it computes,
        # in which images can have other numbers.
        indices = [getattr(m, '_coco_api', None) for m in evaluator.metrics]
        self.coco = next(filter(None, indices), None)
        evaluator.metrics.append(self)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what a batch of predictions says, in little memory."""
        for sample in data_samples:
            self._seen += 1
            if (self._seen - 1) % self.every:
                continue
            kept: dict[str, Any] = dict(
                path=str(sample.get('img_path', '')),
                size=tuple(sample['ori_shape'][:2]),
                id=str(sample.get('img_id', sample.get('img_path'))),
            )
            if 'pred_instances_3d' in sample:
                kept['objects'] = _kitti_objects(
                    sample, self.dataset_meta['classes']
                )
                kept['labels'] = sample.get('eval_labels')
                kept['camera'] = np.asarray(sample['ori_cam2img'])
                kept['id'] = str(sample['sample_idx'])
            elif 'pred_instances' in sample:
                kept.update(_instances(sample['pred_instances']))
            else:
                kept.update(_maps(sample))
            self.results.append(kept)

    def compute_metrics(self, results: list[dict]) -> dict:
        """Keep the samples of all processes; there is nothing to score."""
        self.samples = results
        self._seen = 0
        return {}

    def build(self, about: dict[str, Any]) -> Record:
        """Make a record, once the run is over.

        Args:
            about: What is known of the run.

        Raises:
            UserError: The test set has no annotations.
        """
        meta = self.dataset_meta or {}
        record = Record(
            task='',
            classes=list(map(str, meta.get('classes') or ())),
            palette=[list(map(int, c)) for c in meta.get('palette') or ()],
            images=Images(
                [s['id'] for s in self.samples],
                [s['path'] for s in self.samples],
                np.array([s['size'] for s in self.samples]).reshape(-1, 2),
            ),
            truths=empty_objects(),
            detections=empty_objects(),
            about=about,
        )
        first = self.samples[0] if self.samples else {}
        if 'objects' in first:
            self._add_kitti(record)
        elif 'map' in first:
            self._add_maps(record)
        else:
            self._add_detections(record)
        return record

    def _add_kitti(self, record: Record) -> None:
        record.task = 'mono3d'
        labels = [s['labels'] for s in self.samples]
        if any(x is None for x in labels):
            raise UserError(_NO_TRUTH)
        record.extra.update(pack_kitti(labels, 'truth'))
        found = [s['objects'] for s in self.samples]
        record.extra.update(pack_kitti(found, 'detection'))
        cameras = np.tile(np.eye(4), (len(self.samples), 1, 1))
        for camera, sample in zip(cameras, self.samples):
            camera[: len(sample['camera'])] = sample['camera']
        record.extra['cameras'] = cameras

    def _add_maps(self, record: Record) -> None:
        record.task = 'semantic'
        if any(s['truth'] is None for s in self.samples):
            raise UserError(_NO_TRUTH)
        record.maps = [s['map'] for s in self.samples]
        record.true_maps = [s['truth'] for s in self.samples]
        tables = [s['confidence'] for s in self.samples]
        if all(table is not None for table in tables):
            record.confidence = np.sum(tables, axis=0)

    def _add_detections(self, record: Record) -> None:
        has_masks = any(s['masks'] is not None for s in self.samples)
        record.task = 'instance' if has_masks else 'detection'
        counts = [len(s['scores']) for s in self.samples]
        boxes = np.concatenate(
            [s['boxes'] for s in self.samples] or [np.zeros((0, 4))]
        )
        codes = [m for s in self.samples for m in s['masks'] or ()]
        record.detections = Objects.build(
            np.repeat(np.arange(len(counts)), counts),
            np.concatenate([s['labels'] for s in self.samples] or [[]]),
            boxes,
            np.concatenate([s['scores'] for s in self.samples] or [[]]),
            mask_areas(codes) if has_masks else None,
            masks=[code['counts'] for code in codes],
        )
        if self.coco is not None:
            record.truths = coco_truths(self.coco, record, has_masks)
        else:
            record.truths = _dataset_truths(self.dataset, record, has_masks)


_NO_TRUTH = (
    'the test set has no annotations, so there is nothing to report; '
    'leave out --report, or set the annotations of test_dataloader.dataset'
)


def _kitti_objects(sample: dict, classes: Sequence[str]) -> KittiObjects:
    found = sample['pred_instances_3d']
    values = {
        name: found[name].detach().cpu().double().numpy()
        for name in ('alphas', 'bboxes', 'bboxes_3d', 'scores_3d')
    }
    height, width = sample['ori_shape'][:2]
    limit = np.array((width, height, width, height)) - 1
    labels = found['labels_3d'].cpu().numpy()
    return KittiObjects(
        types=np.array(classes, dtype=np.str_)[labels],
        truncated=np.full(len(labels), -1.0),
        occluded=np.full(len(labels), -1),
        alphas=values['alphas'],
        bboxes=values['bboxes'].clip(0, limit),
        boxes_3d=values['bboxes_3d'].reshape(-1, 7),
        scores=values['scores_3d'],
    )


def _instances(found: Any) -> dict[str, Any]:
    boxes = found['bboxes'].detach().cpu().double().numpy().reshape(-1, 4)
    boxes[:, 2:] -= boxes[:, :2]
    masks = found.get('masks')
    return dict(
        boxes=boxes,
        scores=found['scores'].detach().cpu().double().numpy(),
        labels=found['labels'].cpu().numpy(),
        masks=None if masks is None else _encode(masks),
    )


def _encode(masks: Any) -> list[dict]:
    if isinstance(masks, torch.Tensor):
        masks = masks.detach().cpu().numpy()
    if isinstance(masks, np.ndarray):
        return [
            coco_mask.encode(np.asfortranarray(m.astype(np.uint8)))
            for m in masks
        ]
    return list(masks)


def _maps(sample: dict) -> dict[str, Any]:
    labels = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
    truth = sample.get('gt_sem_seg')
    kept: dict[str, Any] = dict(
        map=encode_map(labels), truth=None, confidence=None
    )
    if truth is None:
        return kept
    true = truth['data'].squeeze(0).cpu().numpy()
    kept['truth'] = encode_map(true)
    if 'seg_logits' in sample:
        logits = sample['seg_logits']['data'][:, ::_STRIDE, ::_STRIDE].float()
        if len(logits) == 1:
            share = logits.sigmoid()[0]
            top = torch.maximum(share, 1 - share)
        else:
            top = logits.softmax(0).amax(0)
        true, labels = true[::_STRIDE, ::_STRIDE], labels[::_STRIDE, ::_STRIDE]
        valid = true < 255
        kept['confidence'] = confidence_table(
            top.cpu().double().numpy()[valid], (true == labels)[valid]
        )
    return kept


def coco_truths(api: Any, record: Record, has_masks: bool) -> Objects:
    """Return the annotations of COCO's index for the images of a record.

    Args:
        api: ``COCO`` of pycocotools or of MMDetection.
        record: Its images have the ids of the index.
        has_masks: Whether the masks are wanted.

    Raises:
        UserError: The index lacks a class of the record.
    """
    numbers = {c['name']: c['id'] for c in api.dataset['categories']}
    absent = [name for name in record.classes if name not in numbers]
    if absent:
        raise UserError(
            f'the annotations have no category {", ".join(absent)}; their '
            f'categories are {", ".join(numbers)}'
        )
    label_of = {numbers[name]: i for i, name in enumerate(record.classes)}
    by_text = {str(key): key for key in api.imgs}
    rows: list[tuple] = []
    for i, name in enumerate(record.images.ids):
        for item in api.imgToAnns.get(by_text.get(name), ()):
            label = label_of.get(item['category_id'])
            if label is None:
                continue
            code = api.annToRLE(item)['counts'] if has_masks else b''
            area = item.get('area', item['bbox'][2] * item['bbox'][3])
            crowd = bool(item.get('iscrowd', 0))
            rows.append((i, label, item['bbox'], area, crowd, code))
    return _from_rows(rows, has_masks)


def _dataset_truths(dataset: Any, record: Record, has_masks: bool) -> Objects:
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    if not any(info.get('instances') for info in infos):
        raise UserError(_NO_TRUTH)
    by_path = {str(info['img_path']): info for info in infos}
    rows: list[tuple] = []
    for i, path in enumerate(record.images.paths):
        for item in by_path[path]['instances']:
            x1, y1, x2, y2 = item['bbox']
            box = [x1, y1, x2 - x1, y2 - y1]
            code, area = b'', box[2] * box[3]
            if has_masks:
                size = record.images.sizes[i].tolist()
                encoded = _encode_polygons(item['mask'], size)
                code = encoded['counts']
                area = float(coco_mask.area(encoded))
            crowd = bool(item.get('ignore_flag', 0))
            rows.append((i, item['bbox_label'], box, area, crowd, code))
    return _from_rows(rows, has_masks)


def _encode_polygons(mask: Any, size: list[int]) -> dict:
    if isinstance(mask, list):
        return coco_mask.merge(coco_mask.frPyObjects(mask, *size))
    if isinstance(mask['counts'], list):
        return coco_mask.frPyObjects(mask, *size)
    return mask


def _from_rows(rows: Iterable[tuple], has_masks: bool) -> Objects:
    columns = list(zip(*rows)) or [()] * 6
    images, labels, boxes, areas, ignored, codes = columns
    return Objects.build(
        images,
        labels,
        boxes,
        areas=areas,
        ignored=ignored,
        masks=codes if has_masks else (),
    )
