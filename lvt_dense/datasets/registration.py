"""Register what the installed frameworks can use, by importing it."""

from importlib.util import find_spec

from . import balance, exact_resume, samplers, transforms  # noqa: F401
from .kitti.dataset import KittiMonoDataset  # noqa: F401

# Transforms that import the data sets of a framework are not imported by
# `transforms` itself, which is read before the framework is.
if find_spec('mmdet'):
    from .coco import CocoDataset  # noqa: F401
    from .transforms import (  # noqa: F401
        colors,
        flip,
        min_iou_crop,
        mixtures,
    )
if find_spec('mmseg'):
    from .camvid import CamVidDataset  # noqa: F401
    from .coco_as_voc import COCOAsVOCDataset  # noqa: F401
    from .image_masks import ImageMaskDataset  # noqa: F401
    from .transforms import seg_crop  # noqa: F401
