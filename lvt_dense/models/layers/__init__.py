"""Blocks that two or more families share."""

from .conv import ConvNormAct, InvertedResidual, make_divisible
from .recompute import frozen_batch_statistics

__all__ = [
    'ConvNormAct',
    'InvertedResidual',
    'frozen_batch_statistics',
    'make_divisible',
]
