"""faster-coco-eval gives what pycocotools gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.records import random_record, to_coco

from lvt_dense.evaluation.coco_metric import CocoMetric
from lvt_dense.utils.errors import UserError

FASTER = 'faster-coco-eval'


def score(path: Path, samples: list, classes: list, **kw: str) -> dict:
    metric = CocoMetric(str(path), classwise=True, **kw)
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def compare(path: Path, samples: list, classes: list, kind: str) -> dict:
    judge = score(path, samples, classes, metric=kind)
    found = score(path, samples, classes, metric=kind, backend=FASTER)
    assert found.keys() == judge.keys()
    for key, value in judge.items():
        assert found[key] == pytest.approx(value, abs=1e-9, nan_ok=True), key
    return judge


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_random_cases(seed: int, kind: str, tmp_path: Path) -> None:
    pytest.importorskip('faster_coco_eval')
    record = random_record(
        seed, images=4, masks=kind == 'segm', coarse_scores=seed == 1
    )
    truth, rows = to_coco(record)
    content = truth.dataset
    for item in content['annotations']:
        item.pop('score')
        if 'segmentation' in item:
            counts = item['segmentation']['counts'].decode()
            item['segmentation']['counts'] = counts
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    samples = [
        make_sample(i, [r for r in rows if r['image_id'] == i], record)
        for i in range(len(record.images))
    ]
    judge = compare(path, samples, record.classes, kind)
    assert judge[f'coco/{kind}_mAP_50'] > 0.05


def make_sample(image: int, rows: list[dict], record: object) -> dict:
    boxes = torch.tensor([r['bbox'] for r in rows]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    found = dict(
        bboxes=boxes,
        scores=torch.tensor([r['score'] for r in rows]),
        labels=torch.tensor([r['category_id'] for r in rows]),
    )
    if rows and 'segmentation' in rows[0]:
        found['masks'] = [r['segmentation'] for r in rows]
    size = tuple(record.images.sizes[image].tolist())  # type: ignore[attr-defined]
    return dict(img_id=image, ori_shape=size, pred_instances=found)


def test_real_annotations(real_data: Path) -> None:
    pytest.importorskip('faster_coco_eval')
    path = real_data / 'coco/annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    names = [c['name'] for c in content['categories']]
    labels = {c['id']: i for i, c in enumerate(content['categories'])}
    rng = np.random.default_rng(0)
    samples = []
    for info in content['images']:
        own = [
            a for a in content['annotations'] if a['image_id'] == info['id']
        ]
        boxes = np.array([a['bbox'] for a in own]).reshape(-1, 4)
        boxes += rng.normal(0, 0.08, boxes.shape) * boxes[:, [2, 3, 2, 3]]
        boxes[:, 2:] += boxes[:, :2]
        found = dict(
            bboxes=torch.from_numpy(boxes).float(),
            scores=torch.from_numpy(rng.random(len(own))).float(),
            labels=torch.tensor([labels[a['category_id']] for a in own]),
        )
        found['labels'] = found['labels'].long()
        samples.append(
            dict(
                img_id=info['id'],
                ori_shape=(info['height'], info['width']),
                pred_instances=found,
            )
        )
    judge = compare(path, samples, names, 'bbox')
    assert judge['coco/bbox_mAP_50'] > 0.3


def test_unknown_backend() -> None:
    with pytest.raises(UserError, match='choose from pycocotools'):
        CocoMetric(backend='cocoapi')
