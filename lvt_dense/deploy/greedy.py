"""Greedy non-maximum suppression in plain tensors of fixed size.

A step takes the best box that is left, and drops it and what it overlaps too
much. So as many steps as boxes are wanted give the first ones of the list of
the usual algorithm, of any number of candidates and in memory that grows with
their number alone. Of equal scores the first box is the better one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lvt_dense.utils.errors import UserError

MAX_TURNS = 100  # of `select_by_turns`
# Takes boxes (N, K, 4) as xyxy, scores (N, K), the IoU above which a better
# box suppresses another, and how many to return; returns the scores of the
# kept boxes, (N, count), 0 where there is none, and their places, (N, count).
Select = Callable[[Tensor, Tensor, float, int], tuple[Tensor, Tensor]]


def select_by_operator(
    boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
) -> tuple[Tensor, Tensor]:
    """Select by an operator, which each format translates; see `Select`."""
    keep = torch.ops.lvt_dense.nms_mask(boxes, scores, iou_threshold)
    top, index = torch.where(keep, scores, 0.0).topk(count)
    return top, index


def take_best(
    left: Tensor,
    boxes: Tensor,
    areas: Tensor,
    place: Tensor,
    iou_threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the best box, and drop what it suppresses.

    Args:
        left: Scores of the boxes that are left, 0 or less of others, (N, K).
        boxes: (N, K, 4) as xyxy.
        areas: Of the boxes, (N, K).
        place: 0 to K - 1, (1, K).
        iou_threshold: Larger overlaps suppress a box.

    Returns:
        Scores that are left then; score and place of the best, (N, 1) each.
    """
    top = left.amax(1, keepdim=True)
    best = left.argmax(1, keepdim=True)
    box = boxes.gather(1, best[..., None].expand(-1, -1, 4))
    corner = torch.maximum(box[..., :2], boxes[..., :2])
    sides = torch.minimum(box[..., 2:], boxes[..., 2:]) - corner
    sides = sides.clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    overlap = shared / (areas.gather(1, best) + areas - shared)
    # The overlap of an empty box with itself is not a number.
    drop = torch.logical_or(overlap > iou_threshold, place == best)
    return torch.where(drop, torch.zeros_like(left), left), top, best


def _areas(boxes: Tensor) -> Tensor:
    sides = boxes[..., 2:] - boxes[..., :2]
    return sides[..., 0] * sides[..., 1]


def select_by_scan(
    boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
) -> tuple[Tensor, Tensor]:
    """Select in a loop that ``torch.export`` keeps; see `Select`.

    There are always ``count`` turns, which do nothing once no box is left.
    """
    from torch._higher_order_ops.scan import scan

    areas = _areas(boxes)
    place = torch.arange(scores.shape[1])[None]

    def go_on(left: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return take_best(left, boxes, areas, place, iou_threshold)

    def rest(left: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        none = torch.zeros_like(left[:, :1])
        return left.clone(), none, none.to(torch.int64)

    def turn(
        left: Tensor, number: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        some = (left > 0).any()
        left, top, best = torch.cond(some, go_on, rest, (left,))
        return left, (top, best)

    _, (top, best) = scan(turn, scores, torch.arange(count))
    top = torch.where(top > 0, top, torch.zeros_like(top))
    return top[..., 0].T, best[..., 0].T


def _repeat(
    left: Tensor,
    boxes: Tensor,
    areas: Tensor,
    place: Tensor,
    top: Tensor,
    index: Tensor,
    slot: Tensor,
    iou_threshold: float,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Fill ``top`` and ``index``, (N, count), until no box is left."""
    turn = torch.zeros(1, dtype=torch.int32)
    more = left.amax() > 0
    while bool(more):
        left, score, best = take_best(left, boxes, areas, place, iou_threshold)
        here = torch.logical_and(slot == turn, score > 0)
        top = torch.where(here, score, top)
        index = torch.where(here, best, index)
        turn = turn + 1
        more = torch.logical_and(left.amax() > 0, (turn < count).all())
    return top, index


def select_by_loop(
    boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
) -> tuple[Tensor, Tensor]:
    """Select in a loop that ``torch.jit.trace`` keeps; see `Select`."""
    repeat = torch.jit.script(_repeat)
    return repeat(
        scores,
        boxes,
        _areas(boxes),
        torch.arange(scores.shape[1])[None],
        torch.zeros(scores.shape[0], count),
        torch.zeros(scores.shape[0], count, dtype=torch.int64),
        torch.arange(count)[None],
        iou_threshold,
        count,
    )


def select_by_turns(
    boxes: Tensor, scores: Tensor, iou_threshold: float, count: int
) -> tuple[Tensor, Tensor]:
    """Select turn by turn, without a loop in the graph; see `Select`.

    Raises:
        UserError: The graph would have too many turns.
    """
    if count > MAX_TURNS:
        raise UserError(
            f'the model returns {count} boxes, and each is a turn of its own '
            f'in the file, which has {MAX_TURNS} at most: give --cfg-options '
            'model.test_cfg.max_per_img=100'
        )
    areas = _areas(boxes)
    place = torch.arange(scores.shape[1])[None]
    turns = []
    for _ in range(count):
        scores, top, best = take_best(
            scores, boxes, areas, place, iou_threshold
        )
        turns.append((top, best))
    top, best = (torch.cat(values, 1) for values in zip(*turns))
    return top, best


@contextmanager
def suppress_by(graph: Any, select: Select) -> Iterator[None]:
    """Let a graph suppress in another way for a while.

    Args:
        graph: Any graph; nothing changes where it has no suppression.
        select: How.
    """
    before = getattr(graph, 'select', None)
    if before is None:
        yield
        return
    graph.select = select
    try:
        yield
    finally:
        graph.select = before
