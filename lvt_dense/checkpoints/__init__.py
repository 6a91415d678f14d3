"""Official checkpoint layouts, and the strict way to load them."""

from .layout import Layout
from .load import LoadReport, convert, identify, load_backbone
from .read import read_state_dict

__all__ = [
    'Layout',
    'LoadReport',
    'convert',
    'identify',
    'load_backbone',
    'read_state_dict',
]
