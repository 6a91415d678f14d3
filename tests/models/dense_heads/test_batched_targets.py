"""Batched targets and losses: the numbers of MMDetection's form by image."""

from typing import Any

import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor

from lvt_dense.config import load_config
from lvt_dense.models.dense_heads import batched_targets
from lvt_dense.models.dense_heads.batched_targets import (
    assign,
    compute_targets,
    pad_boxes,
    supports,
)
from lvt_dense.models.dense_heads.ssdlite_head import mine_negatives

SIZE = 96
MAPS = [(6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)]


@pytest.fixture(scope='module', params=['mobilevit_xxs', 'emo_1m'])
def head(request: pytest.FixtureRequest) -> Any:
    init_default_scope('mmdet')
    cfg = load_config(f'lvt_dense::ssdlite_{request.param}_320_coco.py').model
    cfg.bbox_head.num_classes = 4
    return MODELS.build(
        dict(cfg.bbox_head, train_cfg=cfg.train_cfg, test_cfg=cfg.test_cfg)
    )


def draw_boxes(count: int, generator: torch.Generator) -> InstanceData:
    """Draw boxes, every fourth one a copy of the one before: ties."""
    low = torch.rand(count, 2, generator=generator) * SIZE * 0.7
    sides = torch.rand(count, 2, generator=generator) * SIZE * 0.5 + 2
    boxes = torch.cat((low, low + sides), 1).round()
    boxes[3::4] = boxes[2::4][: len(boxes[3::4])]
    labels = torch.randint(4, (count,), generator=generator)
    return InstanceData(bboxes=boxes, labels=labels)


def draw_case(head: Any, counts: list[int], seed: int) -> tuple:
    """Draw what ``loss_by_feat`` takes, for images with so many boxes."""
    generator = torch.Generator().manual_seed(seed)
    images = len(counts)
    maps: tuple[list[Tensor], list[Tensor]] = ([], [])
    for size, num in zip(MAPS, head.num_base_priors):
        for out, channels in zip(maps, (num * 5, num * 4)):
            value = torch.randn(images, channels, *size, generator=generator)
            out.append(value.requires_grad_())
    shape = (SIZE, SIZE)
    meta = dict(img_shape=shape, pad_shape=shape, batch_input_shape=shape)
    truth = [draw_boxes(count, generator) for count in counts]
    ignored = [draw_boxes(seed % 3, generator) for _ in counts]
    return *maps, truth, [meta] * images, ignored


def losses_and_gradients(
    loss: Any, head: Any, case: tuple
) -> tuple[list[Tensor], list[Tensor]]:
    inputs = [*case[0], *case[1]]
    found = loss(head, *case)
    values = [
        value.sum() if isinstance(value, Tensor) else torch.stack(value).sum()
        for value in map(_flat, (found['loss_cls'], found['loss_bbox']))
    ]
    return values, list(torch.autograd.grad(sum(values), inputs))


def _flat(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value
    return [each.reshape(()) for each in value]


CASES = [
    [0, 0],
    [1],
    [3, 0, 1],
    [200, 0],
    [1, 7, 12, 2, 30],
]


@pytest.mark.parametrize('counts', CASES)
def test_losses_and_gradients_are_those_by_image(
    head: Any, counts: list[int]
) -> None:
    for seed in range(8):
        case = draw_case(head, counts, seed)
        expected = losses_and_gradients(SSDHead.loss_by_feat, head, case)
        found = losses_and_gradients(type(head).loss_by_feat, head, case)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def expected_targets(head: Any, case: tuple) -> list[Tensor]:
    """Compute MMDetection's targets by image, (N, P, ...)."""
    _, _, truth, metas, ignored = case
    levels, flags = head.get_anchors(MAPS, metas, device='cpu')
    found = AnchorHead.get_targets(head, levels, flags, truth, metas, ignored)
    assert supports(head)
    return [*(torch.cat(part, 1) for part in found[:4]), found[4]]


def random_settings(seed: int) -> dict[str, Any]:
    """Draw settings of the assigner, by the digits of a number."""
    return dict(
        pos_iou_thr=0.5,
        neg_iou_thr=(0.5, 0.4, (0.1, 0.4))[seed % 3],
        min_pos_iou=(0.0, 0.3)[seed // 3 % 2],
        match_low_quality=seed // 6 % 4 > 0,
        gt_max_assign_all=seed // 24 % 2 == 0,
        ignore_iof_thr=(-1, 0.5)[seed // 2 % 2],
        ignore_wrt_candidates=seed // 4 % 2 == 0,
    )


def test_targets_are_equal_whatever_the_settings(head: Any) -> None:
    own, weight = head.assigner, head.train_cfg['pos_weight']
    try:
        for seed in range(48):
            settings = dict(type='MaxIoUAssigner', **random_settings(seed))
            head.assigner = TASK_UTILS.build(settings)
            head.train_cfg['pos_weight'] = (-1, 2.5)[seed % 2]
            case = draw_case(head, CASES[seed % len(CASES)], seed)
            labels, weights, boxes, box_weights, total = expected_targets(
                head, case
            )
            _, _, truth, metas, ignored = case
            anchors, is_valid = head.list_anchors(
                MAPS, metas, torch.device('cpu')
            )
            found = compute_targets(head, anchors, is_valid, truth, ignored)
            assert found.labels.equal(labels)
            assert found.label_weights.equal(weights)
            assert found.is_positive.equal(box_weights[..., 0] > 0)
            torch.testing.assert_close(found.boxes, boxes, atol=0, rtol=1e-6)
            assert int(found.num_positive) == total
    finally:
        head.assigner, head.train_cfg['pos_weight'] = own, weight


def test_anchors_in_the_padding_do_not_count(head: Any) -> None:
    case = draw_case(head, [3, 5], 1)
    shapes = [(SIZE, SIZE), (SIZE // 2, SIZE)]
    metas = [dict(case[3][0], pad_shape=shape) for shape in shapes]
    case = (*case[:3], metas, case[4])
    expected = losses_and_gradients(SSDHead.loss_by_feat, head, case)
    found = losses_and_gradients(type(head).loss_by_feat, head, case)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_a_batch_that_is_split_has_the_same_targets(
    head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = draw_case(head, [2, 4, 3], 0)
    anchors, _ = head.list_anchors(MAPS, case[3], torch.device('cpu'))
    whole = compute_targets(head, anchors, None, case[2])
    monkeypatch.setattr(batched_targets, '_MAX_OVERLAPS', 1)
    split = compute_targets(head, anchors, None, case[2])
    assert all(a.equal(b) for a, b in zip(whole, split))


def test_every_box_keeps_an_anchor_and_the_last_wins(head: Any) -> None:
    boxes = torch.tensor([[10.0, 10, 14, 14], [10.0, 10, 14, 14]])
    truth = pad_boxes(
        [InstanceData(bboxes=boxes, labels=torch.tensor([1, 3]))]
    )
    anchors = torch.tensor([[0.0, 0, 40, 40], [50.0, 50, 90, 90]])
    assert assign(head.assigner, anchors, truth).tolist() == [[2, 0]]


def test_mining_takes_the_highest_negatives() -> None:
    losses = torch.tensor([[5.0, 1, 4, 3], [1.0, 2, 3, 4]])
    is_negative = torch.tensor([[False, True, True, True], [True] * 4])
    mined = mine_negatives(losses, is_negative, torch.tensor([2, 9]))
    assert mined.tolist() == [[False, False, True, True], [True] * 4]
    # Equal losses: as many as wanted, whichever.
    mined = mine_negatives(
        torch.ones(1, 6), torch.ones(1, 6, dtype=torch.bool), torch.tensor([3])
    )
    assert int(mined.sum()) == 3


def test_other_assigners_are_left_to_mmdetection(head: Any) -> None:
    own = head.assigner
    head.assigner = TASK_UTILS.build(dict(type='ATSSAssigner', topk=9))
    try:
        assert not supports(head)
    finally:
        head.assigner = own


@pytest.fixture(scope='module')
def retina() -> Any:
    init_default_scope('mmdet')
    cfg = load_config('lvt_dense::retinanet_emo_1m_coco.py').model
    cfg.bbox_head.update(num_classes=4, stacked_convs=0, in_channels=8)
    return MODELS.build(
        dict(cfg.bbox_head, train_cfg=cfg.train_cfg, test_cfg=cfg.test_cfg)
    )


@pytest.mark.parametrize('counts', CASES)
def test_retinanet_has_the_losses_of_mmdetection(
    retina: Any, counts: list[int]
) -> None:
    maps = [(12, 12), (6, 6), (3, 3), (2, 2), (1, 1)]
    shape = (SIZE, SIZE)
    meta = dict(img_shape=shape, pad_shape=shape, batch_input_shape=shape)
    metas = [dict(meta, pad_shape=(SIZE - 24, SIZE)), *[meta] * 4]
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        scores, deltas = [
            [
                torch.randn(
                    len(counts), 9 * 4, *size, generator=generator
                ).requires_grad_()
                for size in maps
            ]
            for _ in range(2)
        ]
        truth = [draw_boxes(count, generator) for count in counts]
        case = (scores, deltas, truth, metas[: len(counts)], None)
        expected = losses_and_gradients(AnchorHead.loss_by_feat, retina, case)
        found = losses_and_gradients(type(retina).loss_by_feat, retina, case)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
