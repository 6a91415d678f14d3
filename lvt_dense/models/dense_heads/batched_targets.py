"""Targets of anchors for all images of a batch at once.

MMDetection assigns anchors to boxes image by image, and copies numbers to the
host on the way: on a GPU, dozens of small kernels and several waits for each
image. Here the boxes of a batch are padded to one tensor. What is computed is
the same, operation by operation, so that overlaps and ties are equal to the
last bit.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from mmdet.models.task_modules import MaxIoUAssigner, PseudoSampler
from mmdet.models.task_modules.assigners import BboxOverlaps2D
from mmengine.structures import InstanceData
from torch import Tensor

# Overlaps that are computed at once: bounds the memory to some hundred MiB.
_MAX_OVERLAPS = 2**24
_MAX_KEPT = 32  # sizes whose anchors are kept
_EPS = 1e-6  # least area that is divided by


class AnchorTargets(NamedTuple):
    """Targets of P anchors in each of N images."""

    labels: Tensor
    """(N, P) classes; the number of classes for the background."""
    label_weights: Tensor
    """(N, P), 0 for anchors that do not count."""
    boxes: Tensor
    """(N, P, 4) deltas, or boxes if those are regressed; 0 if negative."""
    is_positive: Tensor
    """(N, P) bool."""

    @property
    def num_positive(self) -> Tensor:
        """Positives of all images, where an image without counts as one."""
        return self.is_positive.sum(1).clamp(min=1).sum()


class PaddedBoxes(NamedTuple):
    """Boxes of N images, at most M in each."""

    boxes: Tensor
    """(N, M, 4) as xyxy in pixels, zeros where an image has fewer."""
    labels: Tensor
    """(N, M) classes, 0 where an image has fewer."""
    exists: Tensor
    """(N, M) bool."""


class BatchedTargets:
    """Part of an ``AnchorHead`` that lists the anchors of a batch once."""

    prior_generator: Any

    def list_anchors(
        self,
        sizes: Sequence[tuple[int, ...]],
        metas: Sequence[dict],
        device: torch.device,
    ) -> tuple[Tensor, Tensor | None]:
        """List the anchors of all levels; kept for the next batch.

        Args:
            sizes: Height and width of every level, in cells.
            metas: ``pad_shape`` of every image.
            device: Device of the maps.

        Returns:
            (P, 4) as xyxy in pixels; and (N, P) bool, False where an anchor
            lies in the padding, None where none does.
        """
        shapes = [tuple(meta['pad_shape'][:2]) for meta in metas]
        shape = getattr(self.prior_generator, 'input_shape', None)
        cache = self.__dict__.setdefault('_listed_anchors', {})
        key = (*sizes, shape, device)
        if key not in cache:
            if len(cache) >= _MAX_KEPT:
                cache.clear()
            # Kept tensors must serve autograd, whoever asks first.
            with torch.inference_mode(False):
                levels = self.prior_generator.grid_priors(sizes, device=device)
                cache[key] = torch.cat(levels), {}
        anchors, flags = cache[key]
        for each in set(shapes) - flags.keys():
            found = self.prior_generator.valid_flags(sizes, each, device)
            # Asked once for each shape, so that no step waits for it.
            valid = torch.cat(found)
            flags[each] = None if valid.all() else valid
        if all(flags[each] is None for each in shapes):
            return anchors, None
        every = torch.ones(len(anchors), dtype=torch.bool, device=device)
        found = [flags[each] for each in shapes]
        return anchors, torch.stack([every if f is None else f for f in found])


def supports(head: Any) -> bool:
    """Check whether :func:`compute_targets` covers what a head asks for.

    Custom assigners, samplers and box types, and anchors that are refused
    near the border, are left to MMDetection.
    """
    assigner = head.assigner
    return (
        type(assigner) is MaxIoUAssigner
        and type(assigner.iou_calculator) is BboxOverlaps2D
        and assigner.iou_calculator.dtype is None
        and assigner.perm_repeat_gt_cfg is None
        and type(head.sampler) is PseudoSampler
        and head.train_cfg['allowed_border'] < 0
        and not head.prior_generator.use_box_type
        and not head.bbox_coder.use_box_type
    )


def pad_boxes(
    instances: Sequence[InstanceData], has_labels: bool = True
) -> PaddedBoxes:
    """Pad the boxes of images to one tensor, without waiting for a GPU.

    Args:
        instances: ``bboxes`` (M_i, 4), and ``labels`` (M_i,) if there are.
        has_labels: Whether there are labels.
    """
    first = instances[0].bboxes
    counts = [len(each.bboxes) for each in instances]
    most = max([*counts, 1])
    total, start, rows = sum(counts), 0, []
    for count in counts:
        # A row of zeros at the end stands for what is missing.
        row = [*range(start, start + count), *[total] * (most - count)]
        rows.append(row)
        start += count
    index = torch.tensor(rows).to(first.device, non_blocking=True)
    boxes = torch.cat([*(i.bboxes for i in instances), first.new_zeros(1, 4)])
    labels = torch.zeros_like(index)
    if has_labels:
        flat = torch.cat([i.labels for i in instances])
        labels = torch.cat([flat, flat.new_zeros(1)])[index]
    return PaddedBoxes(boxes[index], labels, index < total)


@torch.no_grad()
def compute_targets(
    head: Any,
    anchors: Tensor,
    is_valid: Tensor | None,
    instances: Sequence[InstanceData],
    ignored: Sequence[InstanceData | None] | None = None,
) -> AnchorTargets:
    """Compute what ``AnchorHead.get_targets`` does, for a batch at once.

    Args:
        head: Head that :func:`supports` accepts.
        anchors: (P, 4) as xyxy in pixels, the same for all images.
        is_valid: (N, P) bool, None for all.
        instances: ``bboxes`` and ``labels`` of every image.
        ignored: ``bboxes`` to keep negatives away from, of every image.
    """
    truth = pad_boxes(instances)
    crowds = None
    if head.assigner.ignore_iof_thr > 0 and ignored is not None:
        none = InstanceData(bboxes=truth.boxes.new_zeros(0, 4))
        crowds = pad_boxes([none if i is None else i for i in ignored], False)
    parts = []
    for part in _split(truth.boxes, len(anchors)):
        parts.append(
            assign(
                head.assigner,
                anchors,
                PaddedBoxes(*(column[part] for column in truth)),
                crowds and PaddedBoxes(*(column[part] for column in crowds)),
                None if is_valid is None else is_valid[part],
            )
        )
    assigned = torch.cat(parts) if len(parts) > 1 else parts[0]
    return _encode(head, anchors, truth, assigned)


def _split(boxes: Tensor, num_anchors: int) -> Iterator[slice]:
    """Split a batch so that its overlaps fit in memory."""
    images, most = boxes.shape[:2]
    step = max(1, _MAX_OVERLAPS // max(most * num_anchors, 1))
    for start in range(0, images, step):
        yield slice(start, start + step)


def intersect(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Compute the areas (N, M, P) that boxes and anchors share.

    Coordinates are taken one by one, which moves half of the memory.

    Args:
        boxes: (N, M, 4).
        anchors: (P, 4).
    """
    left, top, right, bottom = boxes[..., None].unbind(-2)
    x1, y1, x2, y2 = anchors.unbind(-1)
    width = torch.minimum(right, x2).sub_(torch.maximum(left, x1))
    height = torch.minimum(bottom, y2).sub_(torch.maximum(top, y1))
    return width.clamp_(min=0).mul_(height.clamp_(min=0))


def _areas(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1) * (y2 - y1)


def overlap(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Compute IoUs (N, M, P) as MMDetection does, to the last bit."""
    common = intersect(boxes, anchors)
    union = (_areas(boxes)[..., None] + _areas(anchors)).sub_(common)
    return common.div_(union.clamp_(min=_EPS))


def assign(
    assigner: MaxIoUAssigner,
    anchors: Tensor,
    truth: PaddedBoxes,
    crowds: PaddedBoxes | None = None,
    is_valid: Tensor | None = None,
) -> Tensor:
    """Assign boxes to anchors, as ``MaxIoUAssigner`` does image by image.

    Returns:
        (N, P): 1 + the index of a box, 0 for the background, and -1 for an
        anchor that is neither.
    """
    overlaps = overlap(truth.boxes, anchors)
    exists = truth.exists[..., None]
    counts = exists if is_valid is None else exists & is_valid[:, None]
    if crowds is not None:
        counts = counts & ~_in_crowd(assigner, anchors, crowds)[:, None]
    overlaps = torch.where(counts, overlaps, -1)
    best, box = overlaps.max(1)
    assigned = torch.full_like(box, -1)
    low, high = _negative_range(assigner.neg_iou_thr)
    assigned = assigned.masked_fill((best >= low) & (best < high), 0)
    assigned = torch.where(best >= assigner.pos_iou_thr, box + 1, assigned)
    if assigner.match_low_quality:
        own = _best_anchors(assigner, overlaps, truth.exists)
        assigned = torch.where(own > 0, own, assigned)
    assigned = assigned.masked_fill(~truth.exists.any(1, keepdim=True), 0)
    if is_valid is not None:
        assigned = assigned.masked_fill(~is_valid, -1)
    return assigned


def _negative_range(threshold: Any) -> tuple[float, float]:
    if isinstance(threshold, tuple):
        return threshold
    # MMDetection knows no other type, and finds no negatives then.
    return (0.0, threshold if isinstance(threshold, float) else 0.0)


def _in_crowd(
    assigner: MaxIoUAssigner, anchors: Tensor, crowds: PaddedBoxes
) -> Tensor:
    """Mark the anchors (N, P) that lie in a region to ignore."""
    if assigner.ignore_wrt_candidates:
        areas = _areas(anchors)
    else:
        areas = _areas(crowds.boxes)[..., None]
    share = intersect(crowds.boxes, anchors) / areas.clamp(min=_EPS)
    inside = (share > assigner.ignore_iof_thr) & crowds.exists[..., None]
    return inside.any(1)


def _best_anchors(
    assigner: MaxIoUAssigner, overlaps: Tensor, exists: Tensor
) -> Tensor:
    """Give every box its best anchor: (N, P) of 1 + box, 0 for none.

    Of several boxes with the same anchor the last one wins.
    """
    best, anchor = overlaps.max(2)
    number = torch.arange(1, exists.shape[1] + 1, device=exists.device)
    is_good = exists & (best >= assigner.min_pos_iou)
    number = number * is_good
    if assigner.gt_max_assign_all:
        is_best = overlaps == best[..., None]
        return (is_best * number[..., None]).amax(1)
    own = number.new_zeros(overlaps.shape[0], overlaps.shape[2])
    return own.scatter_reduce(1, anchor, number, 'amax')


def _encode(
    head: Any, anchors: Tensor, truth: PaddedBoxes, assigned: Tensor
) -> AnchorTargets:
    is_positive = assigned > 0
    index = (assigned - 1).clamp(min=0)
    labels = truth.labels.gather(1, index)
    labels = torch.where(is_positive, labels, head.num_classes)
    weights = (assigned >= 0).to(anchors.dtype)
    if head.train_cfg['pos_weight'] > 0:
        positive_weight = float(head.train_cfg['pos_weight'])
        weights = weights.masked_fill(is_positive, positive_weight)
    matched = truth.boxes.gather(1, index[..., None].expand(-1, -1, 4))
    if not head.reg_decoded_bbox:
        # Negatives encode their own anchor, which is finite.
        matched = torch.where(is_positive[..., None], matched, anchors)
        repeated = anchors.expand_as(matched).reshape(-1, 4)
        encoded = head.bbox_coder.encode(repeated, matched.view(-1, 4))
        matched = encoded.view_as(matched)
    boxes = torch.where(is_positive[..., None], matched, 0.0)
    return AnchorTargets(labels, weights, boxes, is_positive)
