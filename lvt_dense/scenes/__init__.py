"""Rendered road scenes with exact labels, for demos and tests.

One scene model, a camera over a ground plane with a road, its backdrop and
road users made of boxes, gives the picture, 2D boxes, instance masks,
semantic labels and 3D boxes.
"""

from .writers.coco import write_coco
from .writers.kitti import write_kitti
from .writers.semantic import SEMANTIC_LAYOUTS, write_semantic

__all__ = ['SEMANTIC_LAYOUTS', 'write_coco', 'write_kitti', 'write_semantic']
