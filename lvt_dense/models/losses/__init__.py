"""Losses that MMSegmentation lacks."""

from .weighted_cross_entropy import WeightedCrossEntropy

__all__ = ['WeightedCrossEntropy']
