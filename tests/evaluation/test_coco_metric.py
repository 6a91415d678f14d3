"""COCO's figures under their right names, for any ids."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from lvt_dense.utils.errors import UserError

BOXES = [[10.0, 10.0, 60.0, 60.0], [70.0, 20.0, 110.0, 90.0]]
TWELVE = [
    *('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'),
    *('AR@1', 'AR@10', 'AR@100', 'AR_s@100', 'AR_m@100', 'AR_l@100'),
]


def _write(
    folder: Path,
    ids: list,
    image_ids: tuple = (0, 1),
    names: tuple[str, ...] = ('cat', 'dog'),
) -> str:
    """Write two images with one object each, or both on the first."""
    annotations = []
    for number, (x1, y1, x2, y2) in enumerate(BOXES):
        w, h = x2 - x1, y2 - y1
        annotation = dict(
            image_id=image_ids[number],
            category_id=7,
            bbox=[x1, y1, w, h],
        )
        if ids[number] is not None:
            annotation['id'] = ids[number]
        annotations.append(annotation)
    content = dict(
        images=[
            dict(id=i, file_name=f'{k}.jpg', width=120, height=120)
            for k, i in enumerate(image_ids)
        ],
        annotations=annotations,
        categories=[dict(id=7 + k, name=n) for k, n in enumerate(names)],
    )
    path = folder / 'instances.json'
    # With the mark that some editors put at the start.
    path.write_text(json.dumps(content), encoding='utf-8-sig')
    return str(path)


def _sample(image_id: Any, box: list[float] | None, **keys: Any) -> dict:
    boxes = torch.tensor([box] if box else []).reshape(-1, 4)
    return dict(
        img_id=image_id,
        ori_shape=(120, 120),
        pred_instances=dict(
            bboxes=boxes,
            scores=torch.full((len(boxes),), 0.9),
            labels=torch.zeros(len(boxes), dtype=torch.long),
        ),
        **keys,
    )


def _evaluate(samples: list[dict], **kwargs: Any) -> dict[str, float]:
    evaluator = Evaluator(dict(type='lvt_dense.CocoMetric', **kwargs))
    evaluator.dataset_meta = dict(classes=('cat', 'dog'))
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


PERFECT = [_sample(0, BOXES[0]), _sample(1, BOXES[1])]


@pytest.mark.parametrize('ids', [[0, 1], [1, 0], [5, 5], [None, None], [1, 2]])
def test_perfect_predictions_score_1_whatever_the_ids(
    tmp_path: Path, ids: list
) -> None:
    metrics = _evaluate(PERFECT, ann_file=_write(tmp_path, ids))
    assert list(metrics) == [f'coco/bbox_{name}' for name in TWELVE]
    assert metrics['coco/bbox_mAP'] == metrics['coco/bbox_AR@1'] == 1.0
    assert metrics['coco/bbox_mAP_s'] == -1


def test_images_of_one_id(tmp_path: Path) -> None:
    path = _write(tmp_path, [1, 2], (3, 3))
    with pytest.raises(UserError, match='0.jpg and 1.jpg have one id, 3'):
        _evaluate(PERFECT, ann_file=path)
    # Without a file, as from two data sets in one.
    samples = [
        _sample(3, box, instances=[dict(bbox=box, bbox_label=0)])
        for box in BOXES
    ]
    assert _evaluate(samples)['coco/bbox_AR@1'] == 1.0
    swapped = [
        dict(a, pred_instances=b['pred_instances'])
        for a, b in zip(samples, samples[::-1])
    ]
    assert _evaluate(swapped)['coco/bbox_mAP'] == 0.0


def test_no_detection_scores_0(tmp_path: Path) -> None:
    samples = [_sample(0, None), _sample(1, None)]
    path = _write(tmp_path, [1, 2])
    metrics = _evaluate(samples, ann_file=path, metric=['bbox', 'proposal'])
    assert len(metrics) == 18
    assert metrics['coco/bbox_mAP'] == metrics['coco/AR@100'] == 0.0
    assert metrics['coco/bbox_mAP_s'] == -1


@pytest.mark.parametrize('nums', [(1, 10, 100), (2, 50, 100), (3, 20, 300)])
def test_recalls_are_named_after_the_numbers(
    tmp_path: Path, nums: tuple[int, ...]
) -> None:
    """Three boxes on one image, of which the second and third are right."""
    path = _write(tmp_path, [1, 2], (0, 0))
    content = json.loads(Path(path).read_text(encoding='utf-8-sig'))
    content['images'].pop()
    Path(path).write_text(json.dumps(content))
    sample = _sample(0, None)
    sample['pred_instances'].update(
        bboxes=torch.tensor([[0.0, 0, 5, 5], *BOXES]),
        scores=torch.tensor([0.9, 0.8, 0.7]),
        labels=torch.zeros(3, dtype=torch.long),
    )
    metrics = _evaluate(
        [sample], ann_file=path, metric='proposal', proposal_nums=nums
    )
    expected = {1: 0.0, 2: 0.5}
    for number in nums:
        assert metrics[f'coco/AR@{number}'] == expected.get(number, 1.0)
    assert metrics[f'coco/AR_m@{nums[-1]}'] == 1.0
    assert len(metrics) == 6
    fast = _evaluate(
        [sample],
        ann_file=path,
        metric=['proposal', 'proposal_fast'],
        proposal_nums=nums,
    )
    assert fast == metrics


@pytest.mark.parametrize(
    ('nums', 'expected'), [((1, 10, 100), 0.832), ((1, 10, 120), 1.0)]
)
def test_more_objects_than_are_counted(
    nums: tuple[int, ...],
    expected: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    log = 'lvt_dense.evaluation.coco_metric.print_log'
    monkeypatch.setattr(log, lambda text, **_: said.append(text))
    path = _write(tmp_path, [1, 2])
    content = json.loads(Path(path).read_text(encoding='utf-8-sig'))
    corners = [(10 * i, 12 * j) for i in range(12) for j in range(10)]
    content['annotations'] = [
        dict(id=n, image_id=0, category_id=7, bbox=[x, y, 8, 9])
        for n, (x, y) in enumerate(corners, 1)
    ]
    Path(path).write_text(json.dumps(content))
    sample = _sample(0, None)
    sample['pred_instances'].update(
        bboxes=torch.tensor([[x, y, x + 8.0, y + 9] for x, y in corners]),
        scores=torch.linspace(0.9, 0.5, 120),
        labels=torch.zeros(120, dtype=torch.long),
    )
    metrics = _evaluate(
        [sample, _sample(1, None)], ann_file=path, proposal_nums=nums
    )
    assert metrics['coco/bbox_mAP'] == expected
    assert metrics['coco/bbox_mAP_50'] == expected
    warning = '1 of 2 images have more than 100 objects of a class, up to 120'
    assert any(warning in text for text in said) == (expected < 1)


def test_chosen_figures(tmp_path: Path) -> None:
    path = _write(tmp_path, [1, 2])
    metrics = _evaluate(
        PERFECT, ann_file=path, metric_items=['AR@100', 'mAP_50']
    )
    assert metrics == {'coco/bbox_AR@100': 1.0, 'coco/bbox_mAP_50': 1.0}


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(metric_items=['AR@1000']), "no 'AR@1000' with .*AR@1, AR@10"),
        (dict(proposal_nums=(1, 10)), 'give three numbers'),
        (
            dict(proposal_nums=(1, 10, 50), use_mp_eval=True),
            '100 must be one of the numbers',
        ),
    ],
)
def test_figures_that_there_are_not(kwargs: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _evaluate(PERFECT, **kwargs)


def test_classes_that_the_file_lacks(tmp_path: Path) -> None:
    path = _write(tmp_path, [1, 2], names=('cat', 'hound'))
    with pytest.raises(UserError, match='no category dog; .* cat, hound'):
        _evaluate(PERFECT, ann_file=path)


def test_masks_score_as_boxes_do(tmp_path: Path) -> None:
    from pycocotools import mask as coco_mask

    samples = []
    for image_id, box in enumerate(BOXES):
        x1, y1, x2, y2 = map(int, box)
        mask = np.zeros((120, 120), np.uint8)
        mask[y1:y2, x1:x2] = 1
        code = coco_mask.encode(np.asfortranarray(mask))
        code['counts'] = code['counts'].decode()
        instance = dict(bbox=box, bbox_label=0, mask=code)
        sample = _sample(image_id, box, instances=[instance])
        sample['pred_instances']['masks'] = torch.from_numpy(mask)[None]
        samples.append(sample)
    metrics = _evaluate(samples, metric=['bbox', 'segm'])
    assert len(metrics) == 24
    assert metrics['coco/segm_mAP'] == metrics['coco/bbox_mAP'] == 1.0
    for sample in samples:
        for key, value in sample['pred_instances'].items():
            sample['pred_instances'][key] = value[:0]
    assert _evaluate(samples, metric='segm')['coco/segm_mAP'] == 0.0
