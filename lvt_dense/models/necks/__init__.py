"""Pyramid necks that MMDetection and MMSegmentation lack."""

from .dla_up import DLAUp

__all__ = ['DLAUp']
