"""Transforms of the data pipelines."""

from importlib.util import find_spec

from .drawn_size import DrawnSize  # noqa: F401
from .instance_masks import LoadSegMapFromInstances  # noqa: F401
from .loading import InferencerLoader, LoadImageFromFile  # noqa: F401
from .seg_loading import LoadSegAnnotations  # noqa: F401
from .ssd import SSDBestBoxCrop, SSDColorJitter  # noqa: F401

if find_spec('mmdet'):
    from .colors import YOLOXHSVRandomAug  # noqa: F401
    from .flip import RandomFlip  # noqa: F401
    from .min_iou_crop import MinIoURandomCrop  # noqa: F401
    from .mixtures import CachedMixUp, CachedMosaic  # noqa: F401
    from .mono3d import (  # noqa: F401
        FilterObjects3D,
        LoadAnnotations3D,
        Pack3DInputs,
        RandomCrop3D,
        RandomFlip3D,
        RandomShift3D,
        Resize3D,
    )
if find_spec('mmseg'):
    from .seg_crop import SegRandomCrop  # noqa: F401
