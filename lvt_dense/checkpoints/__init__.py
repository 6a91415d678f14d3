"""Official checkpoint layouts, and the strict way to load them."""

from .layout import Layout
from .read import read_state_dict

__all__ = [
    'Layout',
    'read_state_dict',
]
