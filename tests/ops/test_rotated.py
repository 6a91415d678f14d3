"""Rotated boxes against shapely."""

import math

import pytest
import torch
from mmcv.ops import box_iou_rotated, nms_rotated
from torch import Tensor

shapely = pytest.importorskip('shapely')

pytestmark = pytest.mark.usefixtures('pure_ops')


def make_boxes(n: int) -> Tensor:
    """Make boxes x, y, w, h, angle."""
    span = torch.tensor([40.0, 40, 30, 30, 2 * math.pi])
    return torch.rand(n, 5) * span + torch.tensor([0, 0, 1, 1, -math.pi])


def corners_of(box: Tensor) -> list[tuple[float, float]]:
    """Return the corners, clockwise where y points down."""
    x, y, w, h, angle = box.tolist()
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        (x + cos * a - sin * b, y + sin * a + cos * b)
        for a, b in (
            (-w / 2, -h / 2),
            (w / 2, -h / 2),
            (w / 2, h / 2),
            (-w / 2, h / 2),
        )
    ]


def overlaps_of(a: list, b: list, mode: str = 'iou') -> Tensor:
    """Return the overlaps of two lists of polygons."""
    rows = []
    for p in map(shapely.Polygon, a):
        row = []
        for q in map(shapely.Polygon, b):
            inter = p.intersection(q).area
            base = p.area if mode == 'iof' else p.area + q.area - inter
            row.append(inter / base)
        rows.append(row)
    return torch.tensor(rows)


def suppress(overlaps: Tensor, scores: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in scores.sort(0, descending=True)[1].tolist():
        if all(overlaps[k, i] < threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('clockwise', [True, False])
def test_overlaps_equal_shapely(mode: str, clockwise: bool) -> None:
    torch.manual_seed(0)
    a, b = make_boxes(12), make_boxes(12)
    found = box_iou_rotated(a, b, mode, clockwise=clockwise)
    aligned = box_iou_rotated(a, b, mode, True, clockwise)
    if not clockwise:
        a[:, 4], b[:, 4] = -a[:, 4], -b[:, 4]
    expected = overlaps_of(
        [corners_of(box) for box in a], [corners_of(box) for box in b], mode
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(aligned, found.diag())


def test_overlap_with_itself() -> None:
    boxes = torch.tensor([[5.0, 5, 4, 2, 0], [5, 5, 4, 2, 0], [5, 5, 2, 2, 0]])
    expected = torch.tensor([[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])
    torch.testing.assert_close(box_iou_rotated(boxes, boxes), expected)


def test_boxes_without_area_do_not_overlap() -> None:
    boxes = torch.tensor([[5.0, 5, 0, 2, 0.3]])
    assert box_iou_rotated(boxes, boxes).item() == 0


@pytest.mark.parametrize('threshold', [0.1, 0.4, 0.7])
def test_nms_rotated_equals_loop(threshold: float) -> None:
    torch.manual_seed(1)
    boxes, scores = make_boxes(40), torch.rand(40)
    polygons = [corners_of(box) for box in boxes]
    dets, kept = nms_rotated(boxes, scores, threshold)
    overlaps = overlaps_of(polygons, polygons)
    assert kept.tolist() == suppress(overlaps, scores, threshold)
    torch.testing.assert_close(dets[:, 5], scores[kept])


def test_nothing() -> None:
    assert box_iou_rotated(torch.zeros(0, 5), make_boxes(3)).shape == (0, 3)
    assert nms_rotated(torch.zeros(0, 5), torch.zeros(0), 0.5)[1] is None
