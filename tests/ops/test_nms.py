"""Suppression against a plain loop."""

import pytest
import torch
from helpers import plain_ops
from mmcv.ops import batched_nms, bbox_overlaps, nms_match, soft_nms
from torch import Tensor

from lvt_dense.ops import device_nms, suppression
from lvt_dense.ops import nms as ops


def make_boxes(n: int, size: float = 60.0, step: float = 0.0) -> Tensor:
    """Make n boxes; a step rounds the corners, so that overlaps tie."""
    corner = torch.rand(n, 2) * size
    boxes = torch.cat([corner, corner + torch.rand(n, 2) * 30 + 1], 1)
    return (boxes / step).round() * step if step else boxes


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [-0.1, 0.0, 0.3, 0.5, 1.0])
def test_nms_equals_loop(seed: int, offset: int, threshold: float) -> None:
    torch.manual_seed(seed)
    boxes = make_boxes(40, step=[0.0, 5.0][seed % 2])
    scores = torch.rand(40)
    if seed % 3 == 0:
        scores = (scores * 8).round() / 8
    found = ops.nms(boxes, scores, threshold, offset)
    assert found.dtype == torch.long
    assert found.tolist() == plain_ops.nms(boxes, scores, threshold, offset)


@pytest.mark.parametrize('seed', range(2))
def test_blocks_equal_pairs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(seed)
    boxes, scores = make_boxes(120, size=120), torch.rand(120)
    monkeypatch.setattr(ops.Boxes, 'chunk', 100)
    by_pairs = ops.nms(boxes, scores, 0.4, 0)
    monkeypatch.setattr(suppression, '_BLOCK', 7)
    monkeypatch.setattr(suppression, '_MAX_PAIRS', 0)
    by_blocks = ops.nms(boxes, scores, 0.4, 0)
    assert by_pairs.tolist() == by_blocks.tolist()
    assert by_pairs.tolist() == plain_ops.nms(boxes, scores, 0.4, 0)


def test_nms_of_nothing() -> None:
    found = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, 0)
    assert found.shape == (0,)
    assert found.dtype == torch.long


def test_nms_of_boxes_without_area() -> None:
    point = torch.tensor([[5.0, 5, 5, 5]] * 3)
    assert ops.nms(point, torch.tensor([0.1, 0.3, 0.2]), 0.5, 0).tolist() == [
        1,
        2,
        0,
    ]
    assert ops.nms(point, torch.tensor([0.1, 0.3, 0.2]), 0.5, 1).tolist() == [
        1
    ]


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
def test_nms_of_other_precisions(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    boxes, scores = make_boxes(30, step=1.0), torch.rand(30)
    found = ops.nms(boxes.to(dtype), scores, 0.5, 0)
    assert found.tolist() == ops.nms(boxes, scores, 0.5, 0).tolist()


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('min_score', [0.001, 0.3])
@pytest.mark.usefixtures('pure_ops')
def test_soft_nms_equals_loop(method: str, min_score: float) -> None:
    torch.manual_seed(0)
    boxes, scores = make_boxes(25), torch.rand(25)
    dets, kept = soft_nms(boxes, scores, 0.3, 0.5, min_score, method)
    expected, new = plain_ops.soft_nms(
        boxes, scores, 0.3, 0.5, min_score, method
    )
    assert kept.tolist() == expected
    torch.testing.assert_close(dets[:, :4], boxes[kept])
    torch.testing.assert_close(dets[:, 4], torch.tensor(new))


@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.6])
@pytest.mark.usefixtures('pure_ops')
def test_nms_match_equals_loop(threshold: float) -> None:
    torch.manual_seed(0)
    boxes, scores = make_boxes(30), torch.rand(30)
    groups = nms_match(torch.cat([boxes, scores[:, None]], 1), threshold)
    expected = plain_ops.nms_match(boxes, scores, threshold)
    assert [group.tolist() for group in groups] == expected


@pytest.mark.usefixtures('pure_ops')
def test_soft_nms_of_nothing() -> None:
    dets, kept = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.usefixtures('pure_ops')
def test_bbox_overlaps_equals_loop(mode: str, offset: int) -> None:
    torch.manual_seed(0)
    a, b = make_boxes(6), make_boxes(6)
    found = bbox_overlaps(a, b, mode, offset=offset)
    aligned = bbox_overlaps(a, b, mode, aligned=True, offset=offset)
    for i in range(6):
        for j in range(6):
            iou = torch.tensor(plain_ops.overlap_of(a[i], b[j], offset))
            if mode == 'iof':
                areas = [(t[2:] - t[:2] + offset).prod() for t in (a[i], b[j])]
                iou = iou / (1 + iou) * sum(areas) / areas[0]
            torch.testing.assert_close(found[i, j], iou)
    torch.testing.assert_close(aligned, found.diag())


@pytest.mark.parametrize('top_k', [3, 20])
@pytest.mark.usefixtures('pure_ops')
def test_line_nms_equals_loop(top_k: int) -> None:
    line_nms = pytest.importorskip('mmcv.ops.line_nms').line_nms
    torch.manual_seed(0)
    lanes = torch.rand(20, 77) * 30
    lanes[:, 2] = torch.rand(20) * 0.8
    lanes[:, 4] = torch.randint(1, 60, (20,)).float()
    scores = torch.rand(20)
    keep, count, parent = line_nms(lanes, scores, 11.0, top_k)
    expected = plain_ops.line_nms(lanes, scores, 11.0)[:top_k]
    assert keep[:count].tolist() == expected
    assert 1 < count < 20
    assert parent[keep[:count]].tolist() == list(range(1, count + 1))


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [-0.1, 0.0, 0.3, 0.7])
def test_on_a_device_as_on_the_cpu(
    threshold: float, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_nms, '_BLOCK', 16)
    monkeypatch.setattr(device_nms, '_ROUNDS', 2)
    for seed in range(40):
        torch.manual_seed(seed)
        n = [0, 1, 40, 90][seed % 4]
        boxes = make_boxes(n, step=[0.0, 5.0][seed % 2])
        if seed % 3 == 0 and n:
            boxes = boxes[torch.randint(n // 4 + 1, (n,))]
        ranked = ops.Boxes(suppression.to_numpy(boxes), offset)
        expected = suppression.keep_greedily(ranked, threshold)
        found = device_nms.keep_on_device(boxes, threshold, offset)
        assert found.tolist() == expected.tolist(), seed


def test_a_chain_of_boxes_is_followed_to_its_end() -> None:
    left = torch.arange(60.0) * 4
    boxes = torch.stack([left, left * 0, left + 10, left * 0 + 10], 1)
    found = device_nms.keep_on_device(boxes, 0.4, 0)
    assert found.tolist() == list(range(0, 60, 2))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_classes_stay_apart_in_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    boxes = make_boxes(60, size=600.0, step=8.0).to(dtype)
    scores = torch.rand(60).to(dtype)
    labels = torch.randint(80, (60,))
    cfg = dict(type='nms', iou_threshold=0.5)
    dets, keep = batched_nms(boxes, scores, labels, cfg)
    expected = batched_nms(boxes.float(), scores.float(), labels, cfg)
    assert keep.tolist() == expected[1].tolist()
    assert dets.dtype == dtype
    torch.testing.assert_close(dets.float(), expected[0])
