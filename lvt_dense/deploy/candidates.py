"""Boxes inside exported graphs, and which of them are kept."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Import registers the operators.
from . import operators  # noqa: F401
from .greedy import Select, select_by_operator


class Candidates:
    """Boxes that compete with each other.

    Attributes:
        boxes: xyxy in pixels, (N, K, 4).
        scores: (N, K); 0 or less where there is no box.
        labels: (N, K) int64.
    """

    def __init__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> None:
        self.boxes, self.scores, self.labels = boxes, scores, labels

    def suppress(
        self,
        iou_threshold: float,
        count: int,
        select: Select = select_by_operator,
    ) -> 'Candidates':
        """Keep the best boxes of each label.

        Args:
            iou_threshold: Larger overlaps with a better box of the same
                label suppress a box.
            count: Boxes to return; where fewer are left, their scores are 0.
            select: How they are found.
        """
        # Far apart, labels do not suppress each other.
        far = self.boxes.flatten(1).amax(1) + 1
        offset = self.labels * far[:, None]
        count = min(count, self.scores.shape[1])
        top, index = select(
            self.boxes + offset[..., None], self.scores, iou_threshold, count
        )
        index_4 = index[..., None].expand(-1, -1, 4)
        return Candidates(
            self.boxes.gather(1, index_4), top, self.labels.gather(1, index)
        )


def suppress(
    found: Candidates, cfg: dict, select: Select = select_by_operator
) -> Candidates:
    """Apply the suppression that a ``test_cfg`` describes."""
    # Without a number of its own a head keeps every box that is left.
    count = cfg.get('max_per_img', found.scores.shape[1])
    return found.suppress(cfg['nms']['iou_threshold'], count, select)


def image_shape(x: Tensor, size: Tensor | None) -> Tensor:
    """Return height and width of the content of each image, (N, 2)."""
    if size is not None:
        return size.to(x.dtype)
    whole = torch.tensor([x.shape[-2], x.shape[-1]], dtype=x.dtype)
    return whole.expand(x.shape[0], 2)


def clip(boxes: Tensor, shape: Tensor) -> Tensor:
    """Clip boxes (N, K, 4) to images with heights and widths (N, 2)."""
    limit = shape.flip(-1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limit)


def flatten_maps(maps: Any) -> Iterator[Tensor]:
    """Return the tensors in lists and dicts, in their order."""
    if isinstance(maps, Tensor):
        yield maps
    elif isinstance(maps, dict):
        for value in maps.values():
            yield from flatten_maps(value)
    elif maps is not None:
        for value in maps:
            yield from flatten_maps(value)
