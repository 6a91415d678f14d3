"""Transforms of the data pipelines."""

from importlib.util import find_spec

from .drawn_size import DrawnSize  # noqa: F401
from .instance_masks import LoadSegMapFromInstances  # noqa: F401
from .loading import InferencerLoader, LoadImageFromFile  # noqa: F401
from .seg_loading import LoadSegAnnotations  # noqa: F401
from .ssd import SSDBestBoxCrop, SSDColorJitter  # noqa: F401

if find_spec('mmdet'):
    from .mono3d import (  # noqa: F401
        FilterObjects3D,
        LoadAnnotations3D,
        Pack3DInputs,
        RandomCrop3D,
        RandomFlip3D,
        RandomShift3D,
        Resize3D,
    )
