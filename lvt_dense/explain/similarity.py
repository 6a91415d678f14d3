"""Compute the similarity of the positions on the diagonal of a map.

As in the study of EMO (Zhang et al., "Rethinking Mobile Block for Efficient
Attention-based Models", ICCV 2023): convolution makes neighbors alike, and
attention positions that are far from each other.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.models.backbones.emo import InvertedResidualMobileBlock

VARIANTS = ('both', 'convolution alone', 'attention alone')


def diagonal_similarity(level: Tensor) -> Tensor:
    """Return the cosine similarity of all positions on the diagonal.

    Args:
        level: Map, (1, C, H, W).

    Returns:
        (L, L) in [-1, 1], with L the shorter side of the map.
    """
    _, _, height, width = level.shape
    length = min(height, width)
    steps = torch.linspace(0, 1, length)
    rows = (steps * (height - 1)).round().long()
    columns = (steps * (width - 1)).round().long()
    points = F.normalize(level[0, :, rows, columns].float(), dim=0)
    return points.T @ points


@contextmanager
def without_part(backbone: nn.Module, variant: str) -> Iterator[None]:
    """Switch off attention or the depthwise convolutions in EMO's blocks.

    Only blocks that keep size and width can do without their convolution.

    Args:
        backbone: An EMO.
        variant: One of :data:`VARIANTS`.
    """
    handles, heads = [], {}
    for module in backbone.modules():
        if not isinstance(module, InvertedResidualMobileBlock):
            continue
        if variant == 'convolution alone':
            heads[module] = module.head_dim
            module.head_dim = None
        elif variant == 'attention alone' and module.is_residual:
            handles.append(
                module.depthwise.register_forward_hook(
                    lambda _, inputs, output: torch.zeros_like(output)
                )
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, head_dim in heads.items():
            module.head_dim = head_dim


def has_variants(backbone: nn.Module) -> bool:
    """Whether attention and convolution of a backbone can be told apart."""
    return any(
        isinstance(m, InvertedResidualMobileBlock) and m.head_dim is not None
        for m in backbone.modules()
    )
