"""Pyramid necks that MMDetection and MMSegmentation lack."""

from .dla_up import DLAUp
from .simple_fpn import SimpleFPN
from .ssd_extra import SSDExtraLayers

__all__ = ['DLAUp', 'SSDExtraLayers', 'SimpleFPN']
