"""Anchors that scale with the input, as SSD defines them."""

from collections.abc import Sequence

import torch
from mmdet.models.task_modules import AnchorGenerator
from torch import Tensor

from lvt_dense.registry import TASK_UTILS


@TASK_UTILS.register_module()
class RelativeAnchorGenerator(AnchorGenerator):
    """Anchors in fractions of the input's width and height (SSD, Section 2.2).

    The scales of the levels are spread evenly. A cell of level ``k`` holds a
    square of scale ``s_k``, one of ``sqrt(s_k * s_{k+1})``, and for every
    aspect ratio a wide and a tall box of the area of the first. Widths and
    heights are capped at the input's own. The number of cells follows from
    the feature maps, so that any input size works.

    Args:
        ratios: Aspect ratios of every level, each above 1.
        scale_range: First scale, and the scale after the last level, as
            fractions of the input.
    """

    def __init__(
        self,
        ratios: Sequence[Sequence[float]],
        scale_range: tuple[float, float] = (0.1, 1.05),
    ) -> None:
        self.ratios = [tuple(r) for r in ratios]
        low, high = scale_range
        step = (high - low) / len(self.ratios)
        self.scales = [low + step * k for k in range(len(self.ratios) + 1)]
        self.use_box_type = False
        # (height, width) of the network's input in pixels; set by the head.
        self.input_shape: tuple[int, int] | None = None

    @property
    def num_levels(self) -> int:
        """Number of feature levels."""
        return len(self.ratios)

    @property
    def num_base_priors(self) -> list[int]:
        """Anchors in a cell of every level."""
        return [2 + 2 * len(ratios) for ratios in self.ratios]

    def base_sizes(self, level: int) -> Tensor:
        """Compute relative widths and heights of a cell's anchors, (A, 2)."""
        scale, following = self.scales[level : level + 2]
        middle = (scale * following) ** 0.5
        sizes = [(scale, scale), (middle, middle)]
        for ratio in self.ratios[level]:
            root = ratio**0.5
            sizes += [(scale * root, scale / root)]
            sizes += [(scale / root, scale * root)]
        return torch.tensor(sizes)

    def single_level_grid_priors(
        self,
        featmap_size: tuple[int, int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = 'cpu',
    ) -> Tensor:
        """Return the anchors of a level, (H * W * A, 4) xyxy in pixels."""
        height, width = featmap_size
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        center_y, center_x = torch.meshgrid(y, x, indexing='ij')
        centers = torch.stack([center_x, center_y], -1).reshape(-1, 1, 2)
        sizes = self.base_sizes(level_idx).to(device).clamp(max=1)
        boxes = torch.cat([centers - sizes / 2, centers + sizes / 2], -1)
        assert self.input_shape is not None  # the head sets it
        rows, columns = self.input_shape
        # Two products, so that an exported graph may leave the size free.
        x, y = boxes.reshape(-1, 2, 2).unbind(-1)
        boxes = torch.stack([x * columns, y * rows], -1)
        return boxes.reshape(-1, 4).to(dtype)

    def valid_flags(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        pad_shape: tuple[int, ...],
        device: str | torch.device = 'cuda',
    ) -> list[Tensor]:
        """Mark all anchors as valid: they are relative to the whole input."""
        return [
            torch.ones(h * w * anchors, dtype=torch.bool, device=device)
            for (h, w), anchors in zip(featmap_sizes, self.num_base_priors)
        ]

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.ratios}, scales={self.scales})'
