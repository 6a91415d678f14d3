"""Official checkpoints of whole detectors and segmenters."""

from collections.abc import Iterable

from .deeplabv3 import LAYOUTS as DEEPLABV3_LAYOUTS
from .layout import Layout
from .ssdlite import LAYOUTS as SSDLITE_LAYOUTS

WHOLE_LAYOUTS = (*SSDLITE_LAYOUTS, *DEEPLABV3_LAYOUTS)


def identify_whole(keys: Iterable[str]) -> Layout | None:
    """Tell the layout of a whole model by its keys; None for a backbone's."""
    keys = set(keys)
    for layout in WHOLE_LAYOUTS:
        if layout.prefixes_of(keys) == ['']:
            return layout
    return None
