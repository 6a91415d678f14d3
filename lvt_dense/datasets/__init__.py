"""Data sets, their transforms and samplers."""

from . import transforms
from .camvid import CamVidDataset
from .kitti_mono import KittiMonoDataset

__all__ = ['CamVidDataset', 'KittiMonoDataset', 'transforms']
