"""Pictures of data and predictions."""

from importlib.util import find_spec

from .kitti_visualizer import Mono3DVisualizer  # noqa: F401

if find_spec('mmdet'):
    from .det_visualizer import DetVisualizer  # noqa: F401

if find_spec('mmseg'):
    from .seg_visualizer import SegVisualizer  # noqa: F401
