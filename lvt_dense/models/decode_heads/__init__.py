"""Decode heads for semantic segmentation that MMSegmentation lacks."""

from .atrous_pooling import AtrousPoolingHead

__all__ = ['AtrousPoolingHead']
