"""Metrics."""

from importlib.util import find_spec

if find_spec('mmdet'):
    from .coco_metric import CocoMetric  # noqa: F401
    from .kitti.metric import KittiMetric  # noqa: F401
