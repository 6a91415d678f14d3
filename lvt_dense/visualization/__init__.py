"""Pictures of data and predictions."""

from .kitti_visualizer import Mono3DVisualizer

__all__ = ['Mono3DVisualizer']
