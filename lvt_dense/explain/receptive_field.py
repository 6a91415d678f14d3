"""Compute effective receptive fields."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SHARES = (0.5, 0.95)


def effective_receptive_field(
    network: Callable[[Tensor], Sequence[Tensor]],
    size: tuple[int, int],
    samples: int = 4,
    channels: int = 3,
    seed: int = 0,
) -> list[Tensor]:
    """Measure which pixels the middle of each level depends on.

    It is the mean absolute gradient of the middle position, summed over its
    channels, with respect to random images (Luo et al., "Understanding the
    Effective Receptive Field in Deep Convolutional Neural Networks", NeurIPS
    2016).

    Args:
        network: Maps images (1, C, H, W) to the levels of a pyramid.
        size: Height and width of the images.
        samples: Number of random images.
        channels: Number of channels of an image.
        seed: Seed of the images.

    Returns:
        For each level (H, W), of mass 1.
    """
    generator = torch.Generator().manual_seed(seed)
    fields: list[Tensor] = []
    for _ in range(samples):
        image = torch.randn(1, channels, *size, generator=generator)
        image.requires_grad_()
        levels = network(image)
        for i, level in enumerate(levels):
            middle = level[0, :, level.shape[2] // 2, level.shape[3] // 2]
            (gradient,) = torch.autograd.grad(
                middle.sum(), image, retain_graph=True
            )
            field = gradient.abs().sum((0, 1))
            if i == len(fields):
                fields.append(torch.zeros_like(field))
            fields[i] += field
    return [field / field.sum().clamp(min=1e-12) for field in fields]


def side_of(field: Tensor, share: float) -> int:
    """Return the side in pixels of the square that holds a share of a field.

    Args:
        field: (H, W), of mass 1.
        share: In (0, 1].
    """
    height, width = field.shape
    rows = torch.arange(height, dtype=field.dtype)
    columns = torch.arange(width, dtype=field.dtype)
    row = float((field.sum(1) * rows).sum())
    column = float((field.sum(0) * columns).sum())
    distance = torch.maximum(
        (rows - row).abs()[:, None], (columns - column).abs()[None]
    ).flatten()
    order = distance.argsort()
    mass = field.flatten()[order].cumsum(0)
    last = int((mass < share * mass[-1] - 1e-6).sum())
    return 2 * round(float(distance[order[min(last, len(order) - 1)]])) + 1
