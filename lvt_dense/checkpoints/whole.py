"""Official checkpoints of whole detectors and segmenters."""

from typing import Iterable, Optional

from .deeplabv3 import LAYOUTS as DEEPLABV3_LAYOUTS
from .layout import Layout
from .ssdlite import LAYOUTS as SSDLITE_LAYOUTS

WHOLE_LAYOUTS = (*SSDLITE_LAYOUTS, *DEEPLABV3_LAYOUTS)


def identify_whole(keys: Iterable[str]) -> Optional[Layout]:
    """The layout of a whole model, from its keys; None for a backbone's."""
    keys = set(keys)
    for layout in WHOLE_LAYOUTS:
        if layout.prefix_of(keys) is not None:
            return layout
    return None
