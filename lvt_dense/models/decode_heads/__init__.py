"""Decode heads that MMSegmentation lacks, and a faster loss for its own."""

from .atrous_pooling import AtrousPoolingHead
from .quick_loss import QuickLoss

__all__ = ['AtrousPoolingHead', 'QuickLoss']
