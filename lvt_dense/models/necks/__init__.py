"""Pyramid necks that MMDetection and MMSegmentation lack."""

from .dla_up import DLAUp
from .simple_fpn import SimpleFPN
from .ssd_extra import SSDExtraLayers
from .top_down_fpn import TopDownFPN

__all__ = ['DLAUp', 'SSDExtraLayers', 'SimpleFPN', 'TopDownFPN']
