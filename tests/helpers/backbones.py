"""Weights and images for tests of backbones, and how to compare results."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

SMALL = (64, 96)


def spread(model: nn.Module) -> nn.Module:
    """Fill in random values where constructors leave ones and zeros."""
    torch.manual_seed(0)
    with torch.no_grad():
        for param in model.parameters():
            if param.ndim == 1 or not param.any():
                param.add_(0.1 * torch.randn_like(param))
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model


def images(
    height: int, width: int, batch: int = 1, channels: int = 3
) -> Tensor:
    """Make a batch of the same random images every time."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, height, width, generator=generator)


def difference(given: tuple[Tensor], expected: tuple[Tensor]) -> float:
    """Compute the largest difference, in deviations of a level."""
    assert [g.shape for g in given] == [e.shape for e in expected]
    with torch.no_grad():
        return max(
            float((g - e).abs().max() / e.std())
            for g, e in zip(given, expected)
        )


def normed(model: nn.Module) -> list[_BatchNorm]:
    """Find all batch norms."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def statistics(model: nn.Module) -> dict[str, Tensor]:
    """Copy all buffers."""
    return {k: v.clone() for k, v in model.named_buffers()}


def is_same(given: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal, key by key."""
    return given.keys() == expected.keys() and all(
        torch.equal(given[key], expected[key]) for key in expected
    )
