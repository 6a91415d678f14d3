"""Blocks that two or more families share."""

from .conv import ConvNormAct, InvertedResidual, make_divisible
from .linear import Linear
from .memory import fast_layout
from .norm import LayerNorm2d
from .recompute import frozen_batch_statistics
from .squeeze_excite import SqueezeExcite

__all__ = [
    'ConvNormAct',
    'InvertedResidual',
    'LayerNorm2d',
    'Linear',
    'SqueezeExcite',
    'fast_layout',
    'frozen_batch_statistics',
    'make_divisible',
]
