"""Convert images from the student's normalization to the teacher's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageNorm:
    """How a data preprocessor turns pixels into the input of a network.

    Attributes:
        mean: Mean of each channel, in the network's channel order.
        std: Standard deviation of each channel.
        is_flipped: Whether the channel order is not that of the loaded image.
        pad_value: What normalized images are padded with.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    is_flipped: bool = False
    pad_value: float = 0.0

    @classmethod
    def of(cls, preprocessor: nn.Module) -> 'ImageNorm':
        """Read the normalization of a data preprocessor of OpenMMLab."""
        made = preprocessor
        pad = getattr(made, 'pad_value', getattr(made, 'pad_val', 0))
        is_flipped = bool(getattr(made, '_channel_conversion', False))
        if not getattr(made, '_enable_normalize', False):
            return cls(is_flipped=is_flipped, pad_value=float(pad))
        mean, std = (
            tuple(map(float, getattr(made, name).flatten().tolist()))
            for name in ('mean', 'std')
        )
        return cls(mean, std, is_flipped, float(pad))

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> 'ImageNorm':
        """Read ``mean``, ``std``, ``bgr_to_rgb`` and ``pad_value``."""
        return cls(
            tuple(map(float, cfg.get('mean') or (0.0,))),
            tuple(map(float, cfg.get('std') or (1.0,))),
            bool(cfg.get('bgr_to_rgb')) or bool(cfg.get('rgb_to_bgr')),
            float(cfg.get('pad_value', cfg.get('pad_val', 0))),
        )


def to_pixels(images: Tensor, norm: ImageNorm, flips: bool) -> Tensor:
    """Undo a normalization.

    Args:
        images: Normalized images, (N, C, H, W).
        norm: How they were normalized.
        flips: Whether to reverse the order of the channels.

    Returns:
        Pixels, (N, C, H, W) float32, in [0, 255] but for rounding errors.
    """
    mean, std = _columns(norm, images)
    pixels = images.float() * std + mean
    return pixels.flip(1) if flips and pixels.shape[1] == 3 else pixels


def renormalize(
    images: Tensor,
    ours: ImageNorm,
    theirs: ImageNorm,
    shapes: Sequence[Sequence[int]] | None = None,
) -> Tensor:
    """Change the student's normalization into the teacher's.

    Args:
        images: Images as the student sees them, (N, C, H, W).
        ours: The student's normalization.
        theirs: The teacher's.
        shapes: Height and width of each image; what lies to the right of it
            and below is padding, and becomes the teacher's. None for no
            padding.

    Returns:
        The images as the teacher sees them, (N, C, H, W).
    """
    if ours == theirs:
        return images
    pixels = to_pixels(images, ours, ours.is_flipped != theirs.is_flipped)
    mean, std = _columns(theirs, images)
    found = (pixels - mean) / std
    if shapes is not None:
        inside = content_mask(images, shapes)
        if inside is not None:
            found = torch.where(inside, found, theirs.pad_value)
    return found.to(images.dtype)


def content_mask(
    images: Tensor, shapes: Sequence[Sequence[int]]
) -> Tensor | None:
    """Return where images are no padding, (N, 1, H, W) bool; None: all."""
    height, width = images.shape[-2:]
    if all(tuple(s[:2]) == (height, width) for s in shapes):
        return None
    sizes = torch.tensor([tuple(s[:2]) for s in shapes]).to(images.device)
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    inside = (rows[None, :, None] < sizes[:, :1, None]) & (
        columns[None, None] < sizes[:, 1:, None]
    )
    return inside[:, None]


def _columns(norm: ImageNorm, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (
        torch.tensor(values, device=like.device).view(-1, 1, 1)
        for values in (norm.mean, norm.std)
    )
    return mean, std
