"""Random cases of operators."""

import torch
from torch import Tensor


def pick(*choices: object) -> object:
    """Choose one at random."""
    return choices[int(torch.randint(len(choices), ()))]


def assert_near(pure: Tensor, compiled: Tensor, seed: int) -> None:
    """Compare to 1e-5 of the largest value; NaN equals NaN."""
    assert pure.shape == compiled.shape, seed
    assert torch.equal(pure.isnan(), compiled.isnan()), seed
    pure, compiled = pure.nan_to_num(), compiled.nan_to_num()
    if compiled.numel():
        error = (pure - compiled).abs().max()
        assert error <= 1e-5 * max(1.0, compiled.abs().max()), seed


def make_boxes() -> tuple[Tensor, Tensor]:
    """Make boxes and scores: none, many, ties, equal boxes, no area."""
    n = int(pick(0, 1, 2, 30, 100))
    corner = torch.rand(n, 2) * float(pick(20, 200))
    size = torch.rand(n, 2) * 50 + float(pick(0, 2))
    boxes, scores = torch.cat([corner, corner + size], 1), torch.rand(n)
    if pick(True, False):
        boxes = (boxes / 5).round() * 5
    if pick(True, False):
        scores = (scores * 8).round() / 8
    if n and pick(True, False):
        boxes = boxes[torch.randint(n, (n,))]
    return boxes, scores


def make_regions() -> tuple:
    """Make maps and regions, and settings of RoIAlign."""
    height, width = (int(pick(1, 2, 7, 13)) for _ in range(2))
    maps = torch.randn(2, 3, height, width, requires_grad=True)
    n, scale = int(pick(0, 1, 6)), float(pick(1, 0.5, 0.25))
    corner = torch.rand(n, 2) * 16 / scale - 3 / scale
    size = torch.rand(n, 2) * float(pick(0, 3, 20)) / scale
    image = torch.randint(2, (n, 1)).float()
    rois = torch.cat([image, corner, corner + size], 1)
    if pick(True, False):
        rois = rois.round()
    bins = int(pick(1, 2, 7)), int(pick(1, 3, 7))
    mode, aligned = pick('avg', 'avg', 'max'), pick(True, False)
    return maps, rois, bins, scale, pick(0, 0, 1, 2), mode, aligned


def make_layer() -> tuple[list[Tensor], tuple]:
    """Make input, offset, mask, weight and bias, and settings."""
    groups, deform_groups = pick(1, 2), pick(1, 2)
    stride, padding, dilation = pick(1, 2), pick(0, 1, 2), pick(1, 2)
    kernel = int(pick(1, 2, 3)), int(pick(1, 3))
    size = [int(torch.randint(6, 9, ())) for _ in range(2)]
    taps = kernel[0] * kernel[1] * deform_groups
    out = [
        (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for n, k in zip(size, kernel)
    ]
    images = pick(1, 2)
    leaves = [
        torch.randn(images, 4, *size),
        torch.randn(images, 2 * taps, *out) * float(pick(0, 1, 4)),
        torch.rand(images, taps, *out),
        torch.randn(6, 4 // groups, *kernel),
        torch.randn(6),
    ]
    settings = stride, padding, dilation, groups, deform_groups
    return [leaf.requires_grad_() for leaf in leaves], settings
